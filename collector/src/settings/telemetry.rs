//! `[telemetry]`: logs, kept outcomes and traces.

use super::declare::When::{Live, Restart};
use super::declare::{key, section, table};
use super::form::is_url;
use super::kind::{COUNT_MAX, Kind, MINUTE, SECOND, duration, number, text, word};

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

section! {
    /// `[telemetry]`
    pub struct Telemetry {
        /// `text` or `json`; unset, text for a terminal and JSON for everything else.
        log_format: Option<LogFormat> = None
            => key("telemetry.log_format", Restart, word(LOG_FORMATS).optional())
                .unset(r#""json""#),

        /// How often one message is logged within a minute; further ones are counted, and the count
        /// is logged. 0 logs all.
        log_repeats_max: u32 = 20
            => key("telemetry.log_repeats_max", Restart, number(0..=1_000_000)),

        /// Outcomes kept in memory for `/debug/outcomes`; oldest out. 0 keeps none.
        outcomes_max: usize = 1_000
            => key("telemetry.outcomes_max", Restart, number(0..=1_000_000)),

        /// Of accepted events every this many is kept there; of all others each one. 0 keeps no
        /// accepted one.
        outcomes_sample: u32 = 100 => key("telemetry.outcomes_sample", Live, number(0..=COUNT_MAX)),

        /// `[telemetry.otlp]`
        otlp: Otlp = Otlp::default() => table("otlp"),
    }
}

section! {
    /// `[telemetry.otlp]`: traces for an OpenTelemetry collector.
    #[derive(Eq)]
    pub struct Otlp {
        /// Where an OpenTelemetry collector takes traces, as OTLP over HTTP (protobuf). Unset,
        /// nothing is traced. Credentials come by the variable `OTEL_EXPORTER_OTLP_HEADERS`,
        /// further attributes of this instance by `OTEL_RESOURCE_ATTRIBUTES`.
        endpoint: Option<String> = None
            => key("telemetry.otlp.endpoint", Restart, url().optional())
                .unset(r#""http://127.0.0.1:4318/v1/traces""#),

        /// One request, and one delivery, in so many is traced, at random; 1 traces all, 0 none. A
        /// `traceparent` of one of `edge.trusted_proxies` decides for its request instead.
        sample: u32 = 1_000 => key("telemetry.otlp.sample", Restart, number(0..=COUNT_MAX)),

        /// Spans waiting to be sent; further ones are dropped and counted.
        queue_max: usize = 4_096
            => key("telemetry.otlp.queue_max", Restart, number(16..=1_000_000)),

        /// How long a batch of spans may take to be sent. One that was not is counted, and not sent
        /// again.
        timeout_ms: u64 = 10 * SECOND
            => key("telemetry.otlp.timeout", Restart, duration(100..=5 * MINUTE)),
    }
}

fn url() -> Kind<String> {
    let form = "an http or https URL without credentials";
    text(is_url, form, "\"http://127.0.0.1:4318/v1/traces\"")
}
