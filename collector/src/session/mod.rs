//! Sessions of one visitor: what is kept, and how an event or an end changes it.
//!
//! [`assign()`] reads only and says where an event belongs; the fold applies what the journal says
//! was decided. Neither knows rules, storage or the clock.

pub mod assign;
mod kept;
pub mod fold;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tidegate_event::record::SessionRef;
use tidegate_event::{Timestamp, VisitorId};

pub use assign::{Assignment, Caps, assign};
pub use kept::{position, surplus};

/// A late event joins a session up to this long after it happened.
pub const LATENESS_MAX_MS: i64 = 60 * 60_000;
/// Sessions kept for each visitor.
pub const KEPT_MAX: usize = 4;
/// Engaged: visible this long, or two page views, or a conversion (as GA4 counts).
const ENGAGED_VISIBLE_MS: u32 = 10_000;
/// Adobe's rule: so many hits ...
const BURST_EVENTS: u16 = 100;
/// ... within so long mark a bot.
const BURST_MS: i64 = 100_000;

/// One session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Random, minted when it opened; bytes because a u128 would align the struct to 16.
    id: [u8; 16],
    /// Whose.
    pub visitor: VisitorId,
    /// Earliest event time.
    pub started_at: Timestamp,
    /// Latest event time.
    pub last_at: Timestamp,
    /// When its silence has lasted: `last_at + gap`, never before the last receipt.
    pub due: Timestamp,
    /// Receipt of the first hit of the burst being counted.
    burst_at: Timestamp,
    /// From 1, in order of opening.
    pub index: u32,
    /// The gap in force when it opened.
    pub gap_ms: u32,
    /// Events in it; sixteen bits hold the most that [`Caps`] lets in.
    pub events: u16,
    /// Page and screen views in it.
    pub page_views: u16,
    /// Conversions in it.
    pub conversions: u16,
    /// Milliseconds a page was visible.
    pub visible_ms: u32,
    /// Ends and merges so far.
    pub revision: u16,
    burst: u16,
    /// `session_end` was journaled and no event joined since.
    pub ended: bool,
    /// 100 hits in 100 s were seen.
    pub bot_suspect: bool,
}

/// What one event brings to its session.
#[derive(Clone, Copy, Debug)]
pub struct SessionEvent {
    /// Event time.
    pub at: Timestamp,
    /// Receipt.
    pub received_at: Timestamp,
    /// A page or screen view.
    pub page_view: bool,
    /// A conversion.
    pub conversion: bool,
    /// Milliseconds the page was visible.
    pub visible_ms: u32,
}

impl Session {
    /// How records name it.
    #[must_use]
    pub fn reference(&self) -> SessionRef {
        SessionRef {
            id: u128::from_le_bytes(self.id),
            visitor: self.visitor,
            index: self.index,
            gap_ms: self.gap_ms,
        }
    }

    /// Visible for 10 s, or two page views, or a conversion.
    #[must_use]
    pub const fn engaged(&self) -> bool {
        self.visible_ms >= ENGAGED_VISIBLE_MS || self.page_views >= 2 || self.conversions >= 1
    }

    /// Milliseconds from the first event to the last.
    #[must_use]
    pub fn duration_ms(&self) -> i64 {
        self.last_at.since(self.started_at)
    }
}
