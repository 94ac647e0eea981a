//! The parts that a build can leave out, and what it says where the settings ask for one of them.

use crate::settings::Settings;
use crate::settings::file::Unusable;

/// Forwarding to Kafka.
pub const KAFKA: NotBuilt = NotBuilt {
    part: "Kafka",
    feature: "kafka",
};

/// Traces for an OpenTelemetry collector.
pub const OTLP: NotBuilt = NotBuilt {
    part: "OpenTelemetry traces",
    feature: "otlp",
};

/// The settings ask for a part that this build leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build has no {part} (cargo feature {feature:?}), as `make demo` builds it; build with \
     `cargo build --release --bin tidegate`, or remove the setting"
)]
pub struct NotBuilt {
    part: &'static str,
    feature: &'static str,
}

/// Each part that `settings` ask for and this build lacks.
#[must_use]
pub fn unusable(settings: &Settings) -> Vec<Unusable> {
    let asked = [
        (
            "kafka.brokers",
            settings.kafka.is_some() && !cfg!(feature = "kafka"),
            KAFKA,
        ),
        (
            "telemetry.otlp.endpoint",
            settings.telemetry.otlp.endpoint.is_some() && !cfg!(feature = "otlp"),
            OTLP,
        ),
    ];
    asked
        .into_iter()
        .filter(|(_, missing, _)| *missing)
        .map(|(key, _, error)| Unusable {
            key,
            error: error.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::registry::Registry;

    use crate::clock::SystemClock;
    use crate::cursors::kafka_absent;
    use crate::settings::{Kafka, Otlp};
    use crate::telemetry::traces_absent;

    #[test]
    fn a_part_left_out_is_refused_with_what_to_do() {
        let kafka = Kafka {
            brokers: "127.0.0.1:9".to_owned(),
            topic: "t".to_owned(),
            transitions_topic: "u".to_owned(),
            in_flight_max: 1,
            dead_letters_max: 1,
            properties: Vec::new(),
        };
        let kafka = kafka_absent::check(&kafka).unwrap_err().to_string();
        let otlp = Otlp {
            endpoint: None,
            sample: 1,
            queue_max: 1,
            timeout_ms: 1,
        };
        let traces = traces_absent::Traces::new(
            &otlp,
            "http://127.0.0.1:4318",
            Arc::new(SystemClock::default()),
            traces_absent::TraceMetrics::register(&mut Registry::default()),
        );
        let traces = traces.unwrap_err().to_string();
        for (message, part) in [(kafka, "Kafka"), (traces, "OpenTelemetry traces")] {
            assert!(message.contains(&format!("no {part} (")), "{message}");
            assert!(message.contains("cargo build --release"), "{message}");
        }
    }
}
