//! What becomes of spans.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// The counters, at 0 where nothing is traced.
#[derive(Clone, Debug)]
pub struct TraceMetrics {
    pub(super) sent: Counter,
    pub(super) failed: Counter,
    pub(super) dropped: Counter,
    pub(super) stopped: Counter,
}

impl TraceMetrics {
    /// Registers all of them at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let spans = Family::<ResultLabel, Counter>::default();
        registry.register(
            "tidegate_otlp_spans",
            "Spans of traces: sent, failed where the collector took none, dropped where the queue was full, stopped where the gateway ended first",
            spans.clone(),
        );
        let counter = |result| spans.get_or_create_owned(&ResultLabel { result });
        Self {
            sent: counter("sent"),
            failed: counter("failed"),
            dropped: counter("dropped"),
            stopped: counter("stopped"),
        }
    }
}
