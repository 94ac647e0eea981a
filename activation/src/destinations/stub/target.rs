//! The requests of a stub and what their answers mean.

use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use http_body_util::Full;
use tidegate_event::Timestamp;
use tidegate_event::id::fnv1a_64;

use crate::destinations::target::{Target, TooLarge};
use crate::intent::Intent;
use crate::retry::{FailureKind, Verdict};

/// The segment's name in the URL, at most.
const SEGMENT_BYTES_MAX: usize = 64;

/// A stub that passed its checks.
pub(super) struct Stub {
    endpoint: String,
    token: String,
}

impl Stub {
    pub(super) fn new(endpoint: &str, token: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            token: token.to_owned(),
        }
    }

    fn put(&self, path: &str, body: String) -> Request<Full<Bytes>> {
        Request::builder()
            .method(Method::PUT)
            .uri(format!("{}/{path}", self.endpoint))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::new(Bytes::from(body)))
            .expect("an endpoint and token of a test make a request")
    }
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub").finish_non_exhaustive()
    }
}

impl Target for Stub {
    fn delivery_id(&self, destination: &str, intent: &Intent) -> String {
        format!("{destination}/{}/{}", path(intent), intent.epoch())
    }

    fn request(
        &self,
        _destination: &str,
        intent: &Intent,
        _now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, TooLarge> {
        let Intent::AudienceChange(change) = intent;
        if change.segment.len() > SEGMENT_BYTES_MAX {
            return Err(TooLarge);
        }
        Ok(self.put(&path(intent), change.change.as_str().to_owned()))
    }

    fn test_request(&self, destination: &str, _now: Timestamp) -> Request<Full<Bytes>> {
        self.put("test", destination.to_owned())
    }

    /// 404 is final here: the audience is gone.
    fn judge(&self, status: u16, not_before: Option<Timestamp>) -> Verdict {
        match status {
            200..=299 => Verdict::Delivered,
            404 => Verdict::Permanent(FailureKind::Refused),
            _ => Verdict::Retry {
                kind: FailureKind::Server,
                not_before,
            },
        }
    }

    fn redacted(&self, _destination: &str, intent: &Intent) -> (&'static str, String, String) {
        let mut url = format!("{}/{}", self.endpoint, path(intent));
        url.truncate(self.endpoint.len() + SEGMENT_BYTES_MAX);
        let Intent::AudienceChange(change) = intent;
        ("PUT", url, change.change.as_str().to_owned())
    }

    fn fingerprint(&self) -> u64 {
        fnv1a_64(self.endpoint.as_bytes())
    }
}

fn path(intent: &Intent) -> String {
    let Intent::AudienceChange(change) = intent;
    format!("{}/{}", change.segment, change.head.profile)
}
