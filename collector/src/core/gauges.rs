//! Figures that are read rather than counted.

use tidegate_event::Timestamp;

use super::Core;
use crate::profile::census::Sum;

/// Sizes and positions of the live state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Profiles in memory.
    pub profiles_live: u64,
    /// Profiles whose row is behind.
    pub profiles_dirty: u64,
    /// Profiles at rest, and their bytes.
    pub profiles_stored: Sum,
    /// Timers waiting.
    pub timers: u64,
    /// How late the earliest one is, in memory or stored, milliseconds.
    pub timers_overdue_ms: u64,
    /// Deduplication keys remembered.
    pub dedup_entries: u64,
    /// Offset of the oldest of them.
    pub dedup_oldest_offset: u64,
    /// Everything below is in the store.
    pub checkpoint_offset: u64,
}

impl Core {
    /// Figures that are read rather than counted.
    #[must_use]
    pub fn gauges(&self, now: Timestamp) -> Gauges {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let overdue_ms = self.0.state.schedule.overdue_ms(now);
        Gauges {
            profiles_live: count(self.0.state.profiles.len()),
            profiles_dirty: count(self.0.state.behind.len()),
            profiles_stored: self.0.checkpointer.stored(),
            timers: count(self.0.state.schedule.timers.len()),
            timers_overdue_ms: u64::try_from(overdue_ms).unwrap_or(0),
            dedup_entries: count(self.0.state.dedup.len()),
            dedup_oldest_offset: self.0.state.dedup.oldest().unwrap_or(0),
            checkpoint_offset: self.0.checkpointer.position(),
        }
    }
}
