//! Metrics that are read when Prometheus asks, in contrast to those that are counted where things
//! happen. Each part implements [`Figures`] in its own `metrics.rs`; `app` only lists the parts.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// A part with metrics that are read when asked.
pub(crate) trait Figures: fmt::Debug + Send + Sync + 'static {
    /// Writes each of them.
    fn write(&self, page: &mut Page<'_, '_>) -> fmt::Result;
}

/// Makes a part's metrics known.
pub(crate) fn register(registry: &mut Registry, figures: impl Figures) {
    registry.register_collector(Box::new(Asked(figures)));
}

#[derive(Debug)]
struct Asked<F>(F);

impl<F: Figures> Collector for Asked<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(&mut Page(&mut encoder))
    }
}

/// A histogram that was counted elsewhere.
pub(crate) struct Buckets<'a> {
    /// Upper bounds in `unit`s; one more bucket has none.
    pub(crate) bounds: &'a [u64],
    /// Counts, not cumulative.
    pub(crate) counts: &'a [u64],
    /// Sum of all values, in `unit`s.
    pub(crate) sum: u64,
    /// How many `unit`s a second has.
    pub(crate) per_second: f64,
}

/// Where metrics are written. Names come without `_total`, which counters get.
pub(crate) struct Page<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    /// A value that goes up and down.
    pub(crate) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        let metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    /// A value that only grows.
    pub(crate) fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue,
    ) -> fmt::Result {
        let metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    /// A gauge for each set of labels.
    pub(crate) fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'l str, &'l str); N], impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A counter for each set of labels.
    pub(crate) fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'l str, &'l str); N], u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Lengths of time, in seconds.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, found: &Buckets<'_>) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        let (sum, buckets) = found.in_seconds();
        metric.encode_histogram::<NoLabelSet>(sum, found.count(), &buckets, None)
    }

    /// The same for each set of labels.
    pub(crate) fn histograms<'l, 'b, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'l str, &'l str); N], Buckets<'b>)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, found) in values {
            let (sum, buckets) = found.in_seconds();
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, found.count(), &buckets, None)?;
        }
        Ok(())
    }
}

impl Buckets<'_> {
    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn in_seconds(&self) -> (f64, Vec<(f64, u64)>) {
        let bounds = self
            .bounds
            .iter()
            .map(|bound| seconds(*bound, self.per_second));
        let bounds = bounds.chain([f64::MAX]);
        let buckets = bounds.zip(self.counts.iter().copied()).collect();
        (seconds(self.sum, self.per_second), buckets)
    }
}

/// As the value of a gauge: what is too large for one is written as the largest.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "latencies stay far below 2^53")]
fn seconds(value: u64, per_second: f64) -> f64 {
    value as f64 / per_second
}
