//! The parts whose metrics are read when asked, and a snapshot of them for people.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use serde_json::json;
use tidegate_activation::Activation;

use crate::bad_rows::BadRows;
use crate::clock::{Clock, GatewayClock};
use crate::core::{Core, StateFigures};
use crate::cursors::activation::OutboxFigures;
use crate::cursors::metrics::JournalFigures;
use crate::liveness::{self, Liveness};
use crate::telemetry::process::ProcessFigures;
use crate::telemetry::scrape;

/// The parts.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) core: Core,
    pub(super) activation: Activation,
    pub(super) bad_rows: BadRows,
    pub(super) clock: Arc<GatewayClock>,
}

impl Figures {
    /// Makes the metrics of each part known.
    pub(super) fn register(&self, registry: &mut Registry, liveness: &Liveness, disk_budget: u64) {
        let journal = self.core.journal().clone();
        let state = StateFigures {
            core: self.core.clone(),
            clock: Arc::clone(&self.clock),
        };
        scrape::register(
            registry,
            JournalFigures {
                journal,
                disk_budget,
            },
        );
        scrape::register(registry, state);
        scrape::register(registry, OutboxFigures(self.activation.clone()));
        scrape::register(registry, self.bad_rows.clone());
        scrape::register(registry, liveness::Metrics(liveness.clone()));
        scrape::register(registry, ProcessFigures);
    }

    /// A snapshot for people.
    pub(super) fn stats(&self) -> serde_json::Value {
        let Self {
            core,
            activation,
            bad_rows,
            clock,
        } = self;
        let journal = core.journal().stats();
        let state = core.gauges(clock.now());
        json!({
            "generation": core.generation(),
            "journal": {
                "id": core.journal().id(),
                "durable": journal.durable,
                "oldest": journal.oldest,
                "depth": journal.depth,
                "disk_bytes": journal.disk_bytes,
            },
            "profiles_live": state.profiles_live,
            "profiles_dirty": state.profiles_dirty,
            "timers": state.timers,
            "timers_overdue_ms": state.timers_overdue_ms,
            "dedup_entries": state.dedup_entries,
            "dedup_oldest_offset": state.dedup_oldest_offset,
            "outbox_rows": activation.metrics().outbox_rows,
            "bad_rows_bytes": bad_rows.bytes(),
        })
    }
}
