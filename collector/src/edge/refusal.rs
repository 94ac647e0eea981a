//! Requests refused as a whole. Their events cannot be counted, so each is one received event.

use tidegate_event::Outcome;

use super::body::BodyError;
use crate::pipeline::decode::Unreadable;

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The body was not taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body holds no readable events.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// No key, or one that opens no source.
    #[error("send the source's write key as Basic user, writeKey in the body or ?writeKey=")]
    Unauthorized,
    /// More requests in work than `edge.in_flight_max`.
    #[error("too many requests are in work")]
    Busy,
}

impl Refusal {
    /// How the one event that stands for the request ends.
    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Body(BodyError::TooLarge { .. }) => Outcome::TooLarge,
            Self::Body(
                BodyError::Timeout
                | BodyError::Incomplete
                | BodyError::Encoding
                | BodyError::Damaged,
            ) => Outcome::Invalid,
            Self::Body(BodyError::NoRoom) => Outcome::Overloaded,
            Self::Unreadable(unreadable) => unreadable.outcome(),
            Self::Unauthorized => Outcome::Unauthorized,
            Self::Busy => Outcome::Overloaded,
        }
    }
}
