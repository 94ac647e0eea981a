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
        /// `text` or `json`. Unset: text for a terminal, JSON otherwise.
        log_format: Option<LogFormat> = None
            => key("telemetry.log_format", Restart, word(LOG_FORMATS).optional())
                .unset(r#""json""#),

        /// How often one message is logged within a minute. Further ones are counted, and the count
        /// is logged. 0: no limit.
        log_repeats_max: u32 = 20
            => key("telemetry.log_repeats_max", Restart, number(0..=1_000_000)),

        /// Outcomes kept in memory for `/debug/outcomes`; the oldest are removed. 0 keeps none.
        outcomes_max: usize = 1_000
            => key("telemetry.outcomes_max", Restart, number(0..=1_000_000)),

        /// One in this many accepted events is kept there, and every event that was not accepted. 0
        /// keeps no accepted event.
        outcomes_sample: u32 = 100 => key("telemetry.outcomes_sample", Live, number(0..=COUNT_MAX)),

        /// `[telemetry.otlp]`
        otlp: Otlp = Otlp::default() => table("otlp"),
    }
}

section! {
    /// `[telemetry.otlp]`: traces for an OpenTelemetry collector.
    #[derive(Eq)]
    pub struct Otlp {
        /// URL at which an OpenTelemetry collector accepts traces, as OTLP over HTTP (protobuf).
        /// Unset: no traces. Set credentials in the variable `OTEL_EXPORTER_OTLP_HEADERS`, further
        /// attributes of this instance in `OTEL_RESOURCE_ATTRIBUTES`.
        endpoint: Option<String> = None
            => key("telemetry.otlp.endpoint", Restart, url().optional())
                .unset(r#""http://127.0.0.1:4318/v1/traces""#),

        /// One in this many requests, and deliveries, is traced, at random; 1 traces all, 0 none. A
        /// `traceparent` from one of `edge.trusted_proxies` decides for its request instead.
        sample: u32 = 1_000 => key("telemetry.otlp.sample", Restart, number(0..=COUNT_MAX)),

        /// Spans waiting to be sent; further ones are dropped and counted.
        queue_max: usize = 4_096
            => key("telemetry.otlp.queue_max", Restart, number(16..=1_000_000)),

        /// How long sending a batch of spans may take. A batch that fails is counted and not sent
        /// again.
        timeout_ms: u64 = 10 * SECOND
            => key("telemetry.otlp.timeout", Restart, duration(100..=5 * MINUTE)),
    }
}

fn url() -> Kind<String> {
    let form = "an http or https URL without credentials";
    text(is_url, form, "\"http://127.0.0.1:4318/v1/traces\"")
}
