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
