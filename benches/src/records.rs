//! Journal records by hand, for benches that fold without a journal.

use tidegate_event::record::{Fold, Record};
use tidegate_event::{Purposes, Timestamp};

/// A record with nothing decided.
#[must_use]
pub fn record(fold: Fold<'_>, at: Timestamp, now: Timestamp) -> Record<'_> {
    Record {
        generation: 1,
        decided_at: now,
        profile: None,
        anonymous_id: None,
        user_id: None,
        source: "",
        kind: "track",
        event: "",
        message_id: "",
        event_time: at,
        purposes: Purposes::GRANTED,
        transitions: Vec::new(),
        fold,
    }
}
