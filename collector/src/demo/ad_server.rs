//! The stub ad server: takes audience callbacks, checks each signature, keeps a receipt in the feed.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::feed::{Callback, Feed};
use super::serve::{Reply, Site, whole};
use super::signature::Verifier;
use crate::clock::Clock;

/// A callback is far smaller; Standard Webhooks advises 20 kB.
const BODY_BYTES_MAX: usize = 64 << 10;

pub(crate) struct AdServer<C> {
    pub(crate) verifier: Verifier,
    pub(crate) feed: Arc<Feed>,
    pub(crate) clock: C,
}

impl<C: Clock> Site for AdServer<C> {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        if request.uri().path() != "/audience" {
            return text(StatusCode::NOT_FOUND, "callbacks go to /audience");
        }
        if request.method() != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "callbacks are POSTed");
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "too large for a callback");
        };
        let body = body.to_bytes();
        let now = self.clock.now();
        let Ok(callback) = serde_json::from_slice::<Callback>(&body) else {
            return text(StatusCode::BAD_REQUEST, "not a callback");
        };
        let checked = self.verifier.check(&head.headers, &body, now);
        self.feed.callback(&callback, checked.is_ok(), now);
        match checked {
            Ok(_) => whole(StatusCode::OK, "application/json", r#"{"received":true}"#),
            Err(error) => text(StatusCode::UNAUTHORIZED, error.to_string()),
        }
    }
}

fn text(status: StatusCode, why: impl Into<bytes::Bytes>) -> Reply {
    whole(status, "text/plain; charset=utf-8", why)
}
