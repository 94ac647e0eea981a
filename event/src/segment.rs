//! Membership changes. The host derives them from verdicts; rules never emit them.

use serde::{Deserialize, Serialize};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The profile became a member.
    Enter,
    /// The profile ceased to be one.
    Exit,
}

impl Change {
    /// The word of records and callbacks.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Exit => "exit",
        }
    }
}

/// One membership change, a fact that is never retracted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The segment's name.
    pub segment: Box<str>,
    /// Which way.
    pub change: Change,
    /// Grows with each change of this profile in this segment; the first is 1.
    pub epoch: u32,
    /// `"merged"` where a merge ended the loser's membership.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
}
