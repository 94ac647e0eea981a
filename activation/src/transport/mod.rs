//! Sends one request and says what came back. No retries, no redirects, no proxy from the
//! environment, and at most a few KiB of the answer are read.

mod address;
mod connect;

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tidegate_event::Timestamp;

use self::connect::{ConnectError, GuardedConnector};
use crate::retry::{Answer, parse_retry_after};
use crate::settings::Settings;

pub use address::is_allowed;

/// Idle connections kept per host.
const IDLE_PER_HOST_MAX: usize = 64;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How long the body of an answer is waited for once its status is known.
const DRAIN: Duration = Duration::from_secs(1);

/// The shared HTTP client with its connection pool.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    client: Client<HttpsConnector<GuardedConnector>, Full<Bytes>>,
    answer_bytes_max: usize,
}

impl Transport {
    pub(crate) fn new(settings: &Settings) -> Result<Self, rustls::Error> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(GuardedConnector::new(&settings.allow_private));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(connector);
        Ok(Self {
            client,
            answer_bytes_max: settings.answer_bytes_max,
        })
    }

    /// Sends `request`; `now` is only for a `Retry-After` in seconds.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeout_ms: u64,
        now: Timestamp,
    ) -> Answer {
        let exchange = async {
            match self.client.request(request).await {
                Ok(response) => self.read(response, now).await,
                Err(error) => failure(&error),
            }
        };
        let limit = Duration::from_millis(timeout_ms);
        tokio::time::timeout(limit, exchange)
            .await
            .unwrap_or(Answer::Timeout)
    }

    async fn read(&self, response: Response<Incoming>, now: Timestamp) -> Answer {
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| parse_retry_after(value, now));
        let code = response.status().as_u16();
        // Read so that the connection can be used again; a body that is too long, too slow or
        // broken does not change what the status said.
        let drain = Limited::new(response.into_body(), self.answer_bytes_max).collect();
        let _drained = tokio::time::timeout(DRAIN, drain).await;
        Answer::Status { code, retry_after }
    }
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
