//! How long requests for events took that are answered 200, from their head to the reply. Plain
//! atomics: the registry's own histogram has a lock, and every request would take it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Upper bounds in microseconds: a commit to a fast disk takes under one millisecond, and
/// `edge.ack_timeout` ends what takes seconds.
const BOUNDS_US: [u64; 13] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// Their counts, shared by all that count.
#[derive(Clone, Debug, Default)]
pub(super) struct AckTimes(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// One for each bound, and one for what took longer.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl AckTimes {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let times = Self::default();
        registry.register_collector(Box::new(times.clone()));
        times
    }

    pub(super) fn took(&self, us: u64) {
        let index = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.0.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

impl Collector for AckTimes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS_US.iter().map(|us| seconds(*us)).chain([f64::MAX]);
        let counts = self.0.buckets.iter();
        let counts = counts.map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut histogram = encoder.encode_descriptor(
            "tidegate_ack_seconds",
            "Time from the head of a request for events to its reply, where that is 200",
            None,
            MetricType::Histogram,
        )?;
        let sum = seconds(self.0.sum_us.load(Ordering::Relaxed));
        histogram.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

#[expect(clippy::cast_precision_loss, reason = "times stay far below 2^53 us")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_its_bucket() {
        let mut registry = Registry::default();
        let times = AckTimes::register(&mut registry);
        for us in [250, 251, 9_000_000] {
            times.took(us);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "tidegate_ack_seconds_bucket{le=\"0.00025\"} 1",
            "tidegate_ack_seconds_bucket{le=\"0.0005\"} 2",
            "tidegate_ack_seconds_bucket{le=\"5.0\"} 2",
            "tidegate_ack_seconds_bucket{le=\"+Inf\"} 3",
            "tidegate_ack_seconds_count 3",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
