//! Observes each attempt, beyond what is counted: a tracer. It is called afterwards and decides
//! nothing.

use std::fmt;

use tidegate_event::Timestamp;

use crate::retry::Answer;

/// Called after each attempt; must not block.
pub trait Observer: Send + Sync + fmt::Debug + 'static {
    /// One request ended.
    fn attempted(&self, attempt: &Attempt<'_>);
}

/// One request to a destination, without what was in it and whom it was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// The destination's name.
    pub destination: &'a str,
    /// Attempts at the same callback before it.
    pub resent: u32,
    /// When it began.
    pub sent_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The status, where it was answered.
    pub status: Option<u16>,
    /// Why there is none.
    pub failure: Option<&'static str>,
}

/// Status and failure of what came back.
pub(crate) const fn outcome(answer: Answer) -> (Option<u16>, Option<&'static str>) {
    match answer {
        Answer::Status { code, .. } => (Some(code), None),
        Answer::Timeout => (None, Some("timeout")),
        Answer::Connect => (None, Some("connect")),
        Answer::Blocked => (None, Some("blocked")),
        Answer::Broken => (None, Some("broken")),
    }
}
