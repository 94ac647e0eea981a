//! Sessions that a person shares on another profile's device. The session itself is the device's,
//! in its owner's profile; this one keeps how long its own part lasts, so that a timer need not
//! lock two profiles.

use serde::{Deserialize, Serialize};
use tidegate_event::Timestamp;
use tidegate_event::record::SessionRef;

/// The newest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Latest event of this person in it.
    pub last_at: Timestamp,
    /// When this person was silent for the session's gap; never before the last receipt.
    pub due: Timestamp,
}

impl Guest {
    /// After one event at `at` in `session`.
    #[must_use]
    pub fn of(session: SessionRef, at: Timestamp, received_at: Timestamp) -> Self {
        Self {
            last_at: at,
            due: at.plus_ms(i64::from(session.gap_ms)).max(received_at),
        }
    }

    /// The later of both, in each member.
    #[must_use]
    pub fn and(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self {
            last_at: self.last_at.max(other.last_at),
            due: self.due.max(other.due),
        })
    }
}
