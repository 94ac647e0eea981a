//! What the Kafka sink counts.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rdkafka::error::RDKafkaErrorCode;

/// The sink's figures; cheap to clone, all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Messages acknowledged by Kafka.
    pub delivered: Counter,
    /// Messages refused for good: now dead letters.
    pub refused: Counter,
    /// Producers given up and started anew at the cursor.
    pub restarts: Counter,
    /// Messages handed to the producer and not acknowledged yet.
    pub in_flight: Gauge,
    /// Durable records that Kafka has not acknowledged.
    pub lag: Gauge,
    errors: Family<ErrorKind, Counter>,
    last: Arc<Mutex<Option<RDKafkaErrorCode>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorKind {
    kind: String,
}

impl Metrics {
    /// Registers every figure.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let counters = [
            (
                "delivered",
                "Messages acknowledged by Kafka",
                &metrics.delivered,
            ),
            (
                "refused",
                "Messages Kafka refused for good: dead letters",
                &metrics.refused,
            ),
            (
                "producer_restarts",
                "Producers started anew at the cursor",
                &metrics.restarts,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("tidegate_kafka_{name}"), help, counter.clone());
        }
        let gauges = [
            (
                "in_flight",
                "Messages not acknowledged yet",
                &metrics.in_flight,
            ),
            (
                "lag_records",
                "Durable records not acknowledged by Kafka",
                &metrics.lag,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(format!("tidegate_kafka_{name}"), help, gauge.clone());
        }
        let help = "Errors of the Kafka client by kind";
        registry.register("tidegate_kafka_errors", help, metrics.errors.clone());
        metrics
    }

    /// The error that holds Kafka up now; None while records are acknowledged.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.last.lock().map(|code| format!("{code:?}"))
    }

    /// Counts an error; true where it is news.
    pub(super) fn failed(&self, code: RDKafkaErrorCode) -> bool {
        let kind = format!("{code:?}");
        self.errors.get_or_create(&ErrorKind { kind }).inc();
        self.last.lock().replace(code) != Some(code)
    }

    /// Records are acknowledged (again); true where they were not before.
    pub(super) fn recovered(&self) -> bool {
        self.last.lock().take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_error_is_news_once_until_kafka_recovers() {
        let metrics = Metrics::default();
        assert!(metrics.failed(RDKafkaErrorCode::AllBrokersDown));
        assert!(!metrics.failed(RDKafkaErrorCode::AllBrokersDown));
        assert_eq!(metrics.last_error().as_deref(), Some("AllBrokersDown"));
        assert!(metrics.recovered());
        assert!(!metrics.recovered());
        assert_eq!(metrics.last_error(), None);
        assert!(metrics.failed(RDKafkaErrorCode::AllBrokersDown));
    }

    #[test]
    fn every_figure_is_exported_under_its_name() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.delivered.inc();
        metrics.failed(RDKafkaErrorCode::Resolve);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "tidegate_kafka_delivered_total 1",
            "tidegate_kafka_refused_total 0",
            "tidegate_kafka_producer_restarts_total 0",
            "tidegate_kafka_in_flight 0",
            "tidegate_kafka_lag_records 0",
            "tidegate_kafka_errors_total{kind=\"Resolve\"} 1",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} not in\n{text}"
            );
        }
    }
}
