//! The last report as metrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Liveness;

/// Reads the report when asked.
#[derive(Debug)]
pub struct Metrics(pub Liveness);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let report = self.0.report();
        let mut stalled = encoder.encode_descriptor(
            "tidegate_stalled",
            "1 where a thread or task works past its bound without moving on, ended or panicked",
            None,
            MetricType::Gauge,
        )?;
        for part in &report.parts {
            let labels = [("part", part.part.as_str())];
            let value = ConstGauge::new(i64::from(part.state.is_bad()));
            value.encode(stalled.encode_family(&labels)?)?;
        }
        let mut still = encoder.encode_descriptor(
            "tidegate_cursor_stalled_seconds",
            "How long a cursor with records before it has not moved; 0 where it moves or rests",
            None,
            MetricType::Gauge,
        )?;
        for cursor in &report.cursors {
            let labels = [("cursor", cursor.cursor.as_str())];
            let value = ConstGauge::new(seconds(cursor.still_ms));
            value.encode(still.encode_family(&labels)?)?;
        }
        let lag = encoder.encode_descriptor(
            "tidegate_journal_durable_lag_seconds",
            "Age of the oldest record that is taken and not durable",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(seconds(report.durable_lag_ms)).encode(lag)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "lengths of time stay far below 2^53"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
