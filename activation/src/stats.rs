//! Counters of one destination and the snapshots that lists and `/metrics` are made of.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::breaker::BreakerState;
use crate::retry::FailureKind;

/// Upper edges of the latency buckets in milliseconds; one more bucket holds the rest.
pub const LATENCY_BUCKETS_MS: [u64; 14] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];
const BUCKETS: usize = LATENCY_BUCKETS_MS.len() + 1;

/// A histogram with fixed buckets.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ms: AtomicU64,
}

impl Histogram {
    pub(crate) fn record(&self, ms: i64) {
        let ms = u64::try_from(ms).unwrap_or(0);
        let bucket = LATENCY_BUCKETS_MS.partition_point(|edge| *edge < ms);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn snapshot(&self) -> Latency {
        let counts = std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed));
        Latency {
            counts,
            sum_ms: self.sum_ms.load(Ordering::Relaxed),
        }
    }
}

/// A histogram as it was: one count for each of [`LATENCY_BUCKETS_MS`] and one for the rest, not
/// cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Per bucket.
    pub counts: [u64; BUCKETS],
    /// Sum of all values.
    pub sum_ms: u64,
}

/// Counters of one destination since the process started.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) attempts: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) dead: AtomicU64,
    pub(crate) dead_dropped: AtomicU64,
    pub(crate) dead_aged: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) superseded: AtomicU64,
    pub(crate) coalesced: AtomicU64,
    pub(crate) attempt_latency: Histogram,
    pub(crate) change_latency: Histogram,
    failures: [AtomicU64; FailureKind::ALL.len()],
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Stats {
    pub(crate) fn failed(&self, kind: FailureKind) {
        let at = FailureKind::ALL.iter().position(|other| *other == kind);
        if let Some(counter) = at.and_then(|at| self.failures.get(at)) {
            count(counter);
        }
    }

    pub(crate) fn snapshot(&self, status: DestinationStatus) -> DestinationMetrics {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failures = FailureKind::ALL
            .iter()
            .zip(&self.failures)
            .map(|(kind, counter)| (*kind, of(counter)))
            .collect();
        DestinationMetrics {
            attempts: of(&self.attempts),
            dead_total: of(&self.dead),
            dead_dropped: of(&self.dead_dropped),
            dead_aged: of(&self.dead_aged),
            unreadable: of(&self.unreadable),
            superseded: of(&self.superseded),
            coalesced: of(&self.coalesced),
            attempt_latency: self.attempt_latency.snapshot(),
            change_latency: self.change_latency.snapshot(),
            failures,
            status,
        }
    }
}

/// How one destination is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationStatus {
    /// Its name.
    pub name: String,
    /// The word for its kind.
    pub kind: &'static str,
    /// As configured.
    pub enabled: bool,
    /// Rows in the outbox, those in flight included.
    pub queued: u64,
    /// Requests without an answer yet.
    pub in_flight: u64,
    /// Keys in memory whose first change failed and waits.
    pub parked: u64,
    /// Delivered since the process started.
    pub delivered: u64,
    /// Dead letters kept now.
    pub dead_letters: u64,
    /// What the breaker lets through.
    pub breaker: BreakerState,
    /// The newest failure since the last success.
    pub last_error: Option<FailureKind>,
    /// Milliseconds since the oldest change in memory was queued.
    pub oldest_queued_ms: Option<u64>,
}

/// Everything that is counted of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationMetrics {
    /// How it is doing.
    pub status: DestinationStatus,
    /// Requests sent.
    pub attempts: u64,
    /// Failed attempts by kind, every kind listed.
    pub failures: Vec<(FailureKind, u64)>,
    /// Changes that became dead letters.
    pub dead_total: u64,
    /// Dead letters dropped because there were too many.
    pub dead_dropped: u64,
    /// Dead letters dropped because they were too old.
    pub dead_aged: u64,
    /// Reads of stored callbacks and dead letters that failed.
    pub unreadable: u64,
    /// Replays skipped because something newer was attempted.
    pub superseded: u64,
    /// Changes replaced by a newer one before they were attempted.
    pub coalesced: u64,
    /// From sending a request to its answer.
    pub attempt_latency: Latency,
    /// From the decision of a change to its delivery.
    pub change_latency: Latency,
}

/// Everything that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Per destination, by name.
    pub destinations: Vec<DestinationMetrics>,
    /// Rows in the outbox, all destinations.
    pub outbox_rows: u64,
    /// Rows and dead letters dropped because their destination was gone at start.
    pub outbox_orphaned: u64,
    /// The next journal offset to hand in.
    pub cursor: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_an_edge_belongs_to_the_bucket_below_it() {
        let histogram = Histogram::default();
        for ms in [-3, 0, 1, 2, 50, 51, 30_000, 30_001] {
            histogram.record(ms);
        }
        let seen = histogram.snapshot();
        assert_eq!(seen.counts, [3, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(seen.sum_ms, 1 + 2 + 50 + 51 + 30_000 + 30_001);
    }
}
