//! HTTP to the authority: over TLS that is checked, bounded in time and bytes, and with an ear for
//! how long it asks us to wait.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tidegate_event::Timestamp;

use super::AcmeError;
use crate::clock::Clock;

/// How long one request may take.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

type Connected = Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>;

/// The client; clones share connections.
#[derive(Clone)]
pub(super) struct AuthorityClient {
    http: Connected,
    /// How long the authority asked us to wait, in milliseconds, when it last refused.
    asked_ms: Arc<Mutex<Option<i64>>>,
    clock: Arc<dyn Clock>,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("no answer within {} s", REQUEST_MAX.as_secs())]
    Timeout,
    #[error("{}", Chain(.0))]
    Http(#[from] hyper_util::client::legacy::Error),
    #[error("{0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// An error with its causes: alone it says "client error (Connect)".
struct Chain<'e>(&'e dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl AuthorityClient {
    /// Trusts `root` alone, else whom browsers trust.
    pub(super) fn new(root: Option<&Path>, clock: Arc<dyn Clock>) -> Result<Self, AcmeError> {
        let provider = ring::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = match root {
            None => builder.with_provider_and_webpki_roots(provider)?,
            Some(path) => {
                let config = ClientConfig::builder_with_provider(Arc::new(provider))
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(roots(path)?)
                    .with_no_client_auth();
                builder.with_tls_config(config)
            }
        };
        let connector = builder.https_only().enable_http1().build();
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build(connector),
            asked_ms: Arc::default(),
            clock,
        })
    }

    /// How long the authority asked us to wait since this was last called.
    pub(super) fn take_asked_ms(&self) -> Option<i64> {
        self.asked_ms.lock().take()
    }

    async fn exchange(
        self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, RequestError> {
        let (parts, body) = self.http.request(request).await?.into_parts();
        let refused = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        if refused.contains(&parts.status) {
            *self.asked_ms.lock() = asked_ms(&parts.headers, self.clock.now());
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = Full::new(body.map_err(RequestError::Body)?.to_bytes());
        Ok(Response::from_parts(parts, body).into())
    }
}

impl HttpClient for AuthorityClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let exchange = tokio::time::timeout(REQUEST_MAX, self.clone().exchange(request));
        Box::pin(async move {
            let answer = exchange.await.unwrap_or(Err(RequestError::Timeout));
            answer.map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

/// `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3).
fn asked_ms(headers: &HeaderMap, now: Timestamp) -> Option<i64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<i64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let at = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(i64::try_from(at.as_millis()).ok()?.saturating_sub(now.0))
}

pub(in super::super) fn roots(path: &Path) -> Result<RootCertStore, AcmeError> {
    let unusable = |error: String| AcmeError::Root {
        path: path.to_owned(),
        error,
    };
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_asks_for_patience_in_seconds_or_by_a_date() {
        let asked = |value: &'static str| {
            let value = http::HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
            asked_ms(&headers, Timestamp(1_000_000_000_000))
        };
        assert_eq!(asked("120"), Some(120_000));
        assert_eq!(asked("Sun, 09 Sep 2001 01:47:40 GMT"), Some(60_000));
        assert_eq!(asked("soon"), None);
    }

    #[test]
    fn a_root_that_is_none_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.pem");
        for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n")] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let told = roots(&path).unwrap_err().to_string();
            assert!(told.contains("root.pem (edge.tls.acme.root)"), "{told}");
        }
    }
}
