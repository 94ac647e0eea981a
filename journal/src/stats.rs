//! Counters of the journal. Counts; decides nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the fdatasync latency buckets, in microseconds; a last bucket has none.
pub const SYNC_BUCKETS_US: [u64; 13] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];

/// What the journal holds and has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records between the lowest required cursor and the durable watermark.
    pub depth: u64,
    /// Every offset below is durable.
    pub durable: u64,
    /// The next offset to be taken.
    pub next: u64,
    /// The oldest offset kept.
    pub oldest: u64,
    /// Bytes of segments, spare ones included.
    pub disk_bytes: u64,
    /// Bytes of segments from the lowest saved position of a required cursor on; of the active one, what is
    /// written.
    pub held_bytes: u64,
    /// Bytes charged by others, see [`crate::Journal::charge`].
    pub charged_bytes: u64,
    /// Bytes promised and not yet filled.
    pub reserved_bytes: u64,
    /// Bytes filled and not yet durable.
    pub unwritten_bytes: u64,
    /// Batches committed, one fdatasync each.
    pub batches: u64,
    /// Frames committed, void ones included.
    pub records: u64,
    /// Bytes written in batches.
    pub bytes: u64,
    /// fdatasync calls per bucket of [`SYNC_BUCKETS_US`]; not cumulative.
    pub sync_us: [u64; SYNC_BUCKETS_US.len() + 1],
    /// Sum of fdatasync latencies, in microseconds.
    pub sync_us_sum: u64,
    /// Failed tries to prepare a segment.
    pub prepare_failures: u64,
    /// Failed tries to save cursor positions; retried.
    pub cursor_failures: u64,
    /// Segments retired.
    pub retired: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    sync_us: [AtomicU64; SYNC_BUCKETS_US.len() + 1],
    sync_us_sum: AtomicU64,
    pub(crate) prepare_failures: AtomicU64,
    pub(crate) cursor_failures: AtomicU64,
    pub(crate) retired: AtomicU64,
}

impl Counters {
    pub(crate) fn batch(&self, records: u64, bytes: u64, sync_us: u64) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let bucket = SYNC_BUCKETS_US.partition_point(|&bound| bound < sync_us);
        self.sync_us[bucket].fetch_add(1, Ordering::Relaxed);
        self.sync_us_sum.fetch_add(sync_us, Ordering::Relaxed);
    }

    /// Fills in the counters; the rest is left as it is.
    pub(crate) fn read(&self, stats: &mut Stats) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        stats.batches = get(&self.batches);
        stats.records = get(&self.records);
        stats.bytes = get(&self.bytes);
        for (out, counter) in stats.sync_us.iter_mut().zip(&self.sync_us) {
            *out = get(counter);
        }
        stats.sync_us_sum = get(&self.sync_us_sum);
        stats.prepare_failures = get(&self.prepare_failures);
        stats.cursor_failures = get(&self.cursor_failures);
        stats.retired = get(&self.retired);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let counters = Counters::default();
        for us in [0, 50, 51, 2_000_000] {
            counters.batch(2, 100, us);
        }
        let mut stats = Stats::default();
        counters.read(&mut stats);
        assert_eq!(
            (stats.sync_us[0], stats.sync_us[1], stats.sync_us[13]),
            (2, 1, 1)
        );
        assert_eq!((stats.batches, stats.records, stats.bytes), (4, 8, 400));
        assert_eq!(stats.sync_us_sum, 2_000_101);
    }
}
