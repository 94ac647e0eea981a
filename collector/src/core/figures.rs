//! Sizes and positions of the state as metrics.

use std::fmt;
use std::sync::Arc;

use super::Core;
use crate::clock::{Clock, GatewayClock};
use crate::telemetry::scrape::{Figures, Page, signed};

/// Reads them when asked.
#[derive(Clone, Debug)]
pub struct StateFigures {
    /// The state.
    pub core: Core,
    /// The clock that it follows.
    pub clock: Arc<GatewayClock>,
}

impl Figures for StateFigures {
    fn write(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let state = self.core.gauges(self.clock.now());
        for (name, help, value) in [
            (
                "tidegate_profiles_live",
                "Profiles in memory",
                state.profiles_live,
            ),
            (
                "tidegate_profiles_dirty",
                "Profiles whose row is behind",
                state.profiles_dirty,
            ),
            (
                "tidegate_profiles_stored",
                "Profiles at rest, as the last sweep counted them",
                state.profiles_stored.profiles,
            ),
            (
                "tidegate_profiles_stored_bytes",
                "Bytes of their rows, identifiers and due times, before compression",
                state.profiles_stored.bytes,
            ),
            ("tidegate_timers", "Timers waiting", state.timers),
            (
                "tidegate_timers_overdue_milliseconds",
                "How late the earliest timer is",
                state.timers_overdue_ms,
            ),
            (
                "tidegate_dedup_entries",
                "Deduplication keys remembered",
                state.dedup_entries,
            ),
            (
                "tidegate_dedup_oldest_offset",
                "Offset of the oldest key: the real horizon",
                state.dedup_oldest_offset,
            ),
            (
                "tidegate_checkpoint_offset",
                "Everything below is in the profile store",
                state.checkpoint_offset,
            ),
            (
                "tidegate_catalog_generation",
                "Catalog in force",
                u64::from(self.core.generation()),
            ),
        ] {
            page.gauge(name, help, signed(value))?;
        }
        page.gauge(
            "tidegate_clock_lead_milliseconds",
            "How far the gateway's clock is ahead of the wall clock; negative while a step is held",
            self.clock.lead_ms(),
        )
    }
}
