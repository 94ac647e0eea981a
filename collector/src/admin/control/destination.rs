//! Destinations and their dead letters.

use serde::{Deserialize, Serialize};
use tidegate_event::Timestamp;

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationView {
    /// Its name.
    pub name: String,
    /// The word for its kind.
    pub kind: String,
    /// Whether it is told anything.
    pub enabled: bool,
    /// `closed` where all is well, `open` or `half_open` while it is paused, `disabled` since it
    /// answered 410.
    pub state: String,
    /// Changes waiting, those in flight included.
    pub queued: u64,
    /// Requests without an answer yet.
    pub in_flight: u64,
    /// Delivered since the start.
    pub delivered: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// The newest failure since the last success.
    pub last_error: Option<String>,
    /// Milliseconds since the oldest change was queued.
    pub oldest_queued_ms: Option<u64>,
}

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterView {
    /// Names it for a replay.
    pub id: u64,
    /// The id that its receiver deduplicates by.
    #[serde(rename = "webhook_id")]
    pub delivery_id: String,
    /// The segment.
    pub segment: String,
    /// `enter` or `exit`.
    pub change: String,
    /// The change's epoch.
    pub epoch: u32,
    /// When it was decided.
    pub occurred_at: Timestamp,
    /// Since when it is here.
    pub dead_at: Timestamp,
    /// Why it is here.
    pub reason: String,
    /// Attempts made.
    pub attempts: u32,
    /// Status of the last answer.
    pub last_status: Option<u16>,
    /// What was sent, without secrets.
    pub body: String,
}

/// How a test callback went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestView {
    /// A 2xx came back.
    pub delivered: bool,
    /// Its status; None where no answer came.
    pub status: Option<u16>,
    /// Milliseconds it took.
    pub latency_ms: u64,
    /// What went wrong.
    pub error: Option<String>,
}

/// What became of dead letters that were replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayView {
    /// Queued again.
    pub replayed: u64,
    /// Dropped: something newer has overtaken them.
    pub superseded: u64,
    /// No such dead letter.
    pub missing: u64,
    /// Left where they are: the outbox has no capacity.
    #[serde(rename = "no_room")]
    pub no_capacity: u64,
}
