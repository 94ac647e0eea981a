//! A stub of an OpenTelemetry collector: takes traces as OTLP over HTTP and decodes them by the
//! protocol's own messages.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::http::shared;
use crate::patience::eventually;

/// The running stub.
#[derive(Debug)]
pub struct Collector {
    bodies: Arc<Mutex<Vec<Bytes>>>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Collector {
    /// Listens on a free port.
    ///
    /// # Panics
    /// Where it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        let bodies = Arc::default();
        let listener = shared().block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let server = shared().spawn(serve(listener, Arc::clone(&bodies)));
        Self {
            bodies,
            address,
            server,
        }
    }

    /// `telemetry.otlp.endpoint`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// Every byte that came so far.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.concat()
    }

    /// Every span that came so far.
    ///
    /// # Panics
    /// Where something else came.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        let decode = |body: &Bytes| ExportTraceServiceRequest::decode(body.clone());
        let requests = bodies.iter().map(|body| decode(body).expect("OTLP"));
        let resources = requests.flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// Waits for a span that fits.
    #[must_use]
    pub fn wait_for(&self, what: &str, fits: impl Fn(&Span) -> bool) -> Span {
        eventually(what, || self.spans().into_iter().find(&fits))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An attribute's text or number; empty where it is missing.
#[must_use]
pub fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|one| one.key == key);
    let value = found.and_then(|one| one.value.as_ref()?.value.as_ref());
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

async fn serve(listener: TcpListener, bodies: Arc<Mutex<Vec<Bytes>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let bodies = Arc::clone(&bodies);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let bodies = Arc::clone(&bodies);
                async move {
                    let protobuf = request.headers().get("content-type");
                    let protobuf = protobuf.is_some_and(|it| it == "application/x-protobuf");
                    let fits = protobuf && request.uri().path() == "/v1/traces";
                    if let Ok(body) = request.into_body().collect().await {
                        let mut bodies = bodies.lock().unwrap_or_else(PoisonError::into_inner);
                        bodies.push(body.to_bytes());
                    }
                    let mut answer = Response::new(Full::new(Bytes::new()));
                    if !fits {
                        *answer.status_mut() = hyper::StatusCode::BAD_REQUEST;
                    }
                    Ok::<_, Infallible>(answer)
                }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.await;
        });
    }
}
