//! Figures that are read when asked rather than counted: journal, cursors, state, destinations.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde_json::json;
use tidegate_activation::{Activation, LATENCY_BUCKETS_MS, Latency};
use tidegate_journal::SYNC_BUCKETS_US;

use crate::bad_rows::BadRows;
use crate::clock::{Clock, GatewayClock};
use crate::core::Core;

/// Reads them from the parts.
#[derive(Clone, Debug)]
pub(super) struct Figures(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    core: Core,
    activation: Activation,
    bad_rows: BadRows,
    clock: Arc<GatewayClock>,
    disk_budget: u64,
}

impl Figures {
    pub(super) fn register(
        registry: &mut Registry,
        core: &Core,
        activation: &Activation,
        bad_rows: &BadRows,
        clock: &Arc<GatewayClock>,
        disk_budget: u64,
    ) -> Self {
        let figures = Self(Arc::new(Parts {
            core: core.clone(),
            activation: activation.clone(),
            bad_rows: bad_rows.clone(),
            clock: Arc::clone(clock),
            disk_budget,
        }));
        registry.register_collector(Box::new(figures.clone()));
        figures
    }

    /// A snapshot for people.
    pub(super) fn stats(&self) -> serde_json::Value {
        let Parts {
            core,
            activation,
            bad_rows,
            clock,
            disk_budget: _,
        } = &*self.0;
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

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.journal(&mut encoder)?;
        self.cursors(&mut encoder)?;
        self.state(&mut encoder)?;
        self.destinations(&mut encoder)
    }
}

impl Figures {
    #[expect(clippy::too_many_lines, reason = "a table of names and texts")]
    fn journal(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.core.journal().stats();
        for (name, help, value) in [
            (
                "tidegate_journal_depth_records",
                "Durable records that a required cursor has yet to pass",
                stats.depth,
            ),
            (
                "tidegate_journal_durable_offset",
                "Every offset below is durable",
                stats.durable,
            ),
            (
                "tidegate_journal_oldest_offset",
                "Oldest offset kept",
                stats.oldest,
            ),
            (
                "tidegate_journal_disk_bytes",
                "Bytes of segments",
                stats.disk_bytes,
            ),
            (
                "tidegate_journal_charged_bytes",
                "Bytes of outbox and bad rows that count in the disk budget",
                stats.charged_bytes,
            ),
            (
                "tidegate_journal_disk_budget_bytes",
                "What segments and charged bytes may take together",
                self.0.disk_budget,
            ),
            (
                "tidegate_journal_reserved_bytes",
                "Bytes promised to hits at work",
                stats.reserved_bytes,
            ),
        ] {
            gauge(encoder, name, help, value)?;
        }
        for (name, help, value) in [
            (
                "tidegate_journal_batches",
                "Batches committed, one fdatasync each",
                stats.batches,
            ),
            (
                "tidegate_journal_records",
                "Records committed",
                stats.records,
            ),
            ("tidegate_journal_bytes", "Bytes committed", stats.bytes),
            (
                "tidegate_journal_prepare_failures",
                "Failed tries to prepare a segment",
                stats.prepare_failures,
            ),
            (
                "tidegate_journal_cursor_save_failures",
                "Failed tries to save cursor positions",
                stats.cursor_failures,
            ),
            (
                "tidegate_journal_segments_retired",
                "Segments retired",
                stats.retired,
            ),
        ] {
            counter(encoder, name, help, value)?;
        }
        let count: u64 = stats.sync_us.iter().sum();
        let bounds = SYNC_BUCKETS_US
            .iter()
            .map(|us| seconds(*us, 1e6))
            .chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(stats.sync_us).collect();
        let mut histogram = encoder.encode_descriptor(
            "tidegate_journal_fsync_seconds",
            "Time of one fdatasync",
            None,
            MetricType::Histogram,
        )?;
        histogram.encode_histogram::<NoLabelSet>(
            seconds(stats.sync_us_sum, 1e6),
            count,
            &buckets,
            None,
        )
    }

    fn cursors(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut cursors = self.0.core.journal().cursors();
        cursors.sort_by(|a, b| a.name.cmp(&b.name));
        let mut family = encoder.encode_descriptor(
            "tidegate_cursor_lag_records",
            "Durable records that a cursor has yet to pass",
            None,
            MetricType::Gauge,
        )?;
        for cursor in &cursors {
            let labels = [("cursor", cursor.name.as_str())];
            ConstGauge::new(signed(cursor.lag)).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "tidegate_cursor_lost_records",
            "Records that a best-effort cursor was moved past",
            None,
            MetricType::Counter,
        )?;
        for cursor in &cursors {
            let labels = [("cursor", cursor.name.as_str())];
            ConstCounter::new(cursor.lost_records).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "a table of names and texts")]
    fn state(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.0.core.gauges(self.0.clock.now());
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
                u64::from(self.0.core.generation()),
            ),
            (
                "tidegate_bad_rows_bytes",
                "Bytes of bad rows kept",
                self.0.bad_rows.bytes(),
            ),
        ] {
            gauge(encoder, name, help, value)?;
        }
        let lead = encoder.encode_descriptor(
            "tidegate_clock_lead_milliseconds",
            "How far the gateway's clock is ahead of the wall clock; negative while a step is held",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.0.clock.lead_ms()).encode(lead)
    }

    #[expect(clippy::too_many_lines, reason = "a table of names and texts")]
    fn destinations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = self.0.activation.metrics();
        gauge(
            encoder,
            "tidegate_outbox_rows",
            "Callbacks waiting",
            metrics.outbox_rows,
        )?;
        counter(
            encoder,
            "tidegate_outbox_orphaned",
            "Callbacks, dead letters included, dropped at start because their destination was gone",
            metrics.outbox_orphaned,
        )?;
        type Read = fn(&tidegate_activation::DestinationMetrics) -> u64;
        let counters: [(&str, &str, Read); 8] = [
            (
                "tidegate_destination_delivered",
                "Callbacks delivered",
                |d| d.status.delivered,
            ),
            ("tidegate_destination_attempts", "Requests sent", |d| {
                d.attempts
            }),
            (
                "tidegate_destination_dead",
                "Callbacks that became dead letters",
                |d| d.dead_total,
            ),
            (
                "tidegate_destination_dead_dropped",
                "Dead letters dropped because activation.dead_letters_max was reached",
                |d| d.dead_dropped,
            ),
            (
                "tidegate_destination_dead_aged",
                "Dead letters dropped because activation.dead_letters_max_age had passed",
                |d| d.dead_aged,
            ),
            (
                "tidegate_destination_unreadable",
                "Reads of stored callbacks and dead letters that failed",
                |d| d.unreadable,
            ),
            (
                "tidegate_destination_superseded",
                "Replays skipped as superseded",
                |d| d.superseded,
            ),
            (
                "tidegate_destination_coalesced",
                "Changes replaced by a newer one of the same visitor and segment, waiting or as dead letters",
                |d| d.coalesced,
            ),
        ];
        for (name, help, read) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for destination in &metrics.destinations {
                let labels = [("destination", destination.status.name.as_str())];
                ConstCounter::new(read(destination)).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "tidegate_destination_failures",
            "Requests that failed, by what went wrong",
            None,
            MetricType::Counter,
        )?;
        for destination in &metrics.destinations {
            for (kind, count) in &destination.failures {
                let name = destination.status.name.as_str();
                let labels = [("destination", name), ("reason", kind.as_str())];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        type ReadLatency = fn(&tidegate_activation::DestinationMetrics) -> Latency;
        let latencies: [(&str, &str, ReadLatency); 2] = [
            (
                "tidegate_destination_attempt_seconds",
                "Time from sending a request to its answer, or to giving it up",
                |d| d.attempt_latency,
            ),
            (
                "tidegate_destination_delivery_seconds",
                "Time from the decision of a change to its delivery, waiting and retries included",
                |d| d.change_latency,
            ),
        ];
        for (name, help, read) in latencies {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for destination in &metrics.destinations {
                let labels = [("destination", destination.status.name.as_str())];
                let latency = read(destination);
                let bounds = LATENCY_BUCKETS_MS.iter().map(|ms| seconds(*ms, 1e3));
                let buckets: Vec<_> = bounds.chain([f64::MAX]).zip(latency.counts).collect();
                family
                    .encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(
                        seconds(latency.sum_ms, 1e3),
                        latency.counts.iter().sum(),
                        &buckets,
                        None,
                    )?;
            }
        }
        let gauges: [(&str, &str, Read); 4] = [
            ("tidegate_destination_queued", "Callbacks waiting", |d| {
                d.status.queued
            }),
            (
                "tidegate_destination_in_flight",
                "Requests without an answer yet",
                |d| d.status.in_flight,
            ),
            (
                "tidegate_destination_dead_letters",
                "Dead letters kept",
                |d| d.status.dead_letters,
            ),
            (
                "tidegate_destination_oldest_queued_milliseconds",
                "Age of the oldest callback waiting",
                |d| d.status.oldest_queued_ms.unwrap_or(0),
            ),
        ];
        for (name, help, read) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for destination in &metrics.destinations {
                let labels = [("destination", destination.status.name.as_str())];
                ConstGauge::new(signed(read(destination)))
                    .encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(signed(value)).encode(metric)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(metric)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "latencies stay far below 2^53")]
fn seconds(value: u64, per_second: f64) -> f64 {
    value as f64 / per_second
}
