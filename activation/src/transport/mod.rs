//! Sends one request and says what came back. No retries, no redirects, no proxy from the
//! environment, and at most a few KiB of the answer are read.

mod address;
mod connect;

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tidegate_event::Timestamp;

use self::connect::{ConnectError, GuardedConnector};
use crate::retry::{Answer, parse_rate_limit_reset, parse_retry_after};
use crate::settings::Settings;

pub use address::is_allowed;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Headers that say when a rate limit starts anew.
const RESETS: [&str; 2] = ["x-ratelimit-reset", "ratelimit-reset"];
/// How long the body of an answer is waited for once its status is known.
const DRAIN: Duration = Duration::from_secs(1);

/// An answer under way.
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Carries requests to destinations.
pub(crate) trait Transport: Send + Sync + fmt::Debug + 'static {
    /// Sends `request` and resolves within `timeout_ms`. `wall` is the wall clock, for a
    /// `Retry-After` that is a date.
    fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeout_ms: u64,
        wall: Timestamp,
    ) -> Answering<'_>;
}

/// The shared HTTP client with its connection pool.
#[derive(Clone, Debug)]
pub(crate) struct HttpTransport {
    client: Client<HttpsConnector<GuardedConnector>, Full<Bytes>>,
    answer_bytes_max: usize,
}

impl HttpTransport {
    pub(crate) fn new(settings: &Settings) -> Result<Self, rustls::Error> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(GuardedConnector::new(&settings.allow_private));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(settings.idle_connections_max)
            .build(connector);
        Ok(Self {
            client,
            answer_bytes_max: settings.answer_bytes_max,
        })
    }

    async fn read(&self, response: Response<Incoming>, wall: Timestamp) -> Answer {
        let code = response.status().as_u16();
        let asked = asked(&response, wall);
        // Read so that the connection can be used again; a body that is too long, too slow or
        // broken does not change what the status said.
        let drain = Limited::new(response.into_body(), self.answer_bytes_max).collect();
        let _drained = tokio::time::timeout(DRAIN, drain).await;
        Answer::Status {
            code,
            retry_after_ms: asked.map(|at| at.since(wall).max(0)),
        }
    }
}

impl Transport for HttpTransport {
    fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeout_ms: u64,
        wall: Timestamp,
    ) -> Answering<'_> {
        let exchange = async move {
            match self.client.request(request).await {
                Ok(response) => self.read(response, wall).await,
                Err(error) => failure(&error),
            }
        };
        let limit = Duration::from_millis(timeout_ms);
        Box::pin(async move {
            let answer = tokio::time::timeout(limit, exchange).await;
            answer.unwrap_or(Answer::Timeout)
        })
    }
}

/// Until when the answer asks to wait. A rate limit's reset counts only where it was the limit that
/// refused: others send it with every answer.
fn asked(response: &Response<Incoming>, wall: Timestamp) -> Option<Timestamp> {
    type Parse = fn(&str, Timestamp) -> Option<Timestamp>;
    let latest = |name: &str, parse: Parse| {
        let values = response.headers().get_all(name).iter();
        let times = values.filter_map(|value| parse(value.to_str().ok()?, wall));
        times.max()
    };
    let limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let resets = RESETS.iter().filter(|_| limited);
    latest(RETRY_AFTER.as_str(), parse_retry_after).or_else(|| {
        resets
            .filter_map(|name| latest(name, parse_rate_limit_reset))
            .max()
    })
}

fn failure(error: &hyper_util::client::legacy::Error) -> Answer {
    let mut source = error.source();
    while let Some(cause) = source {
        if matches!(cause.downcast_ref(), Some(ConnectError::Blocked)) {
            return Answer::Blocked;
        }
        source = cause.source();
    }
    if error.is_connect() {
        Answer::Connect
    } else {
        Answer::Broken
    }
}
