//! HTTP to the collector, with the client that the gateway has already. It may be cleartext: a
//! collector as a rule runs on the same machine.

use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::ExporterBuildError;
use rustls::crypto::ring;

/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// TLS.
    #[error("cannot set up TLS to the OpenTelemetry collector: {0}")]
    Tls(#[from] rustls::Error),
    /// The rest.
    #[error("cannot send traces to telemetry.otlp.endpoint: {0}")]
    Exporter(#[from] ExporterBuildError),
}

#[derive(Clone, Debug)]
pub(super) struct HttpExport {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl HttpExport {
    pub(super) fn new(timeout: Duration) -> Result<Self, ExportError> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build(connector),
            timeout,
        })
    }
}

impl HttpClient for HttpExport {
    fn send_bytes<'a, 'f>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        let exchange = async move {
            let answer = self.http.request(request.map(Full::new)).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        Box::pin(async move { tokio::time::timeout(self.timeout, exchange).await? })
    }
}
