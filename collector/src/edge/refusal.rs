//! Requests refused as a whole. Their events cannot be counted, so each is one received event.

use tidegate_event::Outcome;

use super::body::BodyError;
use super::limits::{Budget, Limited};
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
    /// It waited too long to be read, or records do for the disk.
    #[error("the gateway is behind with its work")]
    Behind,
    /// More requests of one address than `edge.address_rate_limit`.
    #[error("requests of one address: {0}")]
    AddressRate(Limited),
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
            Self::Body(
                BodyError::NoRoom
                | BodyError::AddressNoRoom
                | BodyError::AddressAwaited
                | BodyError::Awaited,
            ) => Outcome::Overloaded,
            Self::Unreadable(unreadable) => unreadable.outcome(),
            Self::Unauthorized => Outcome::Unauthorized,
            Self::Busy | Self::Behind => Outcome::Overloaded,
            Self::AddressRate(_) => Outcome::RateLimited,
        }
    }

    /// When to come again, where that is known.
    pub(super) const fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::AddressRate(limited) => Some(limited.retry_after_s),
            Self::Body(_)
            | Self::Unreadable(_)
            | Self::Unauthorized
            | Self::Busy
            | Self::Behind => None,
        }
    }

    /// What the client may still send.
    pub(super) fn budget(&self) -> Option<Budget> {
        match self {
            Self::AddressRate(limited) => Some(limited.budget()),
            Self::Body(_)
            | Self::Unreadable(_)
            | Self::Unauthorized
            | Self::Busy
            | Self::Behind => None,
        }
    }
}
