//! The last report as metrics.

use std::fmt;

use super::Liveness;
use crate::telemetry::scrape::{Figures, Page};

/// Reads the report when asked.
#[derive(Debug)]
pub struct Metrics(pub Liveness);

impl Figures for Metrics {
    fn write(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let report = self.0.report();
        page.gauges(
            "tidegate_stalled",
            "1 where a thread or task works past its bound without moving on, ended or panicked",
            report.parts.iter().map(|it| {
                let labels = [("part", it.part.as_str())];
                (labels, i64::from(it.state.is_bad()))
            }),
        )?;
        page.gauges(
            "tidegate_cursor_stalled_seconds",
            "How long a cursor with records before it has not moved; 0 where it moves or rests",
            report.cursors.iter().map(|it| {
                let labels = [("cursor", it.cursor.as_str())];
                (labels, seconds(it.still_ms))
            }),
        )?;
        page.gauge(
            "tidegate_journal_durable_lag_seconds",
            "Age of the oldest record that is taken and not durable",
            seconds(report.durable_lag_ms),
        )
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "lengths of time stay far below 2^53"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
