//! What a kind makes of a checked entry: its requests, and what their answers mean. No I/O.

use std::fmt;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tidegate_event::Timestamp;

use crate::intent::Intent;
use crate::retry::Verdict;

/// The body would be larger than the destination takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rendered body is too large")]
pub(crate) struct TooLarge;

/// A destination that can be called, by the rules of its kind.
pub(crate) trait Target: fmt::Debug + Send + Sync {
    /// The same for every attempt, replay and restart of one change to one destination, different
    /// for any other. Receivers deduplicate by it.
    fn delivery_id(&self, destination: &str, intent: &Intent) -> String;

    /// The request of one attempt at `now`.
    ///
    /// # Errors
    /// [`TooLarge`]
    fn request(
        &self,
        destination: &str,
        intent: &Intent,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, TooLarge>;

    /// A request that a receiver can tell from a real change.
    fn test_request(&self, destination: &str, now: Timestamp) -> Request<Full<Bytes>>;

    /// What the status of an answer means; `not_before` is what it asked for.
    fn judge(&self, status: u16, not_before: Option<Timestamp>) -> Verdict;

    /// Method, URL without its query, and body, for people; never a secret or a signature. Bounded
    /// in size.
    fn redacted(&self, destination: &str, intent: &Intent) -> (&'static str, String, String);

    /// Changes when the destination becomes another one in all but name. Stored, so it must not
    /// change otherwise.
    fn fingerprint(&self) -> u64;
}
