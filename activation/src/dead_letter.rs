//! Changes that will not be delivered by themselves any more, kept for people to look at and to
//! replay.

use serde::{Deserialize, Serialize};
use tidegate_event::{Change, Timestamp};

use crate::destinations::Plan;
use crate::intent::{Intent, Row};

/// Why a change became a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadReason {
    /// The destination will never take it (4xx).
    Refused,
    /// It was not delivered before its deadline.
    Expired,
    /// Its body is larger than its kind allows.
    TooLarge,
    /// The destination's part of the outbox was full.
    OutboxFull,
}

impl DeadReason {
    /// The word for lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::TooLarge => "too_large",
            Self::OutboxFull => "outbox_full",
        }
    }
}

/// A dead letter as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeadRow {
    pub(crate) row: Row,
    pub(crate) reason: DeadReason,
    pub(crate) at: Timestamp,
    pub(crate) request: RenderedRequest,
}

/// The request as it was, without query, secrets and signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedRequest {
    /// HTTP method.
    pub method: String,
    /// Scheme, host and path.
    pub url: String,
    /// Body.
    pub body: String,
}

/// A dead letter as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Names it for a replay; unique in the store.
    pub id: u64,
    /// The id that its receiver deduplicates by.
    pub delivery_id: String,
    /// Which segment.
    pub segment: String,
    /// Which way.
    pub change: Change,
    /// The change's epoch.
    pub epoch: u32,
    /// When it was decided.
    pub occurred_at: Timestamp,
    /// Why it is here.
    pub reason: DeadReason,
    /// Attempts made.
    pub attempts: u32,
    /// Status of the last answer, where there was one.
    pub last_status: Option<u16>,
    /// Since when it is here.
    pub dead_at: Timestamp,
    /// What was sent.
    pub request: RenderedRequest,
}

impl DeadRow {
    pub(crate) fn new(plan: &Plan, row: Row, reason: DeadReason, at: Timestamp) -> Self {
        let (method, url, body) = plan.redacted(&row.intent);
        let request = RenderedRequest {
            method: method.to_owned(),
            url,
            body,
        };
        Self {
            row,
            reason,
            at,
            request,
        }
    }

    pub(crate) fn listed(self, id: u64, plan: &Plan) -> DeadLetter {
        let delivery_id = plan.delivery_id(&self.row.intent);
        let Intent::AudienceChange(change) = self.row.intent;
        DeadLetter {
            id,
            delivery_id,
            segment: change.segment,
            change: change.change,
            epoch: change.epoch,
            occurred_at: change.head.occurred_at,
            reason: self.reason,
            attempts: self.row.attempts,
            last_status: self.row.last_status,
            dead_at: self.at,
            request: self.request,
        }
    }
}
