//! The trace of one request: a span for the whole of it, and one for each stage that it came through.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use http::{Method, Version};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};

use super::{Answered, Draft, Stage, Traces, new_span_id, new_trace_id, system_time};

/// A request that is traced.
#[derive(Debug)]
pub struct RequestTrace {
    traces: Traces,
    context: SpanContext,
    parent: Option<SpanContext>,
    started_at: SystemTime,
    started_us: u64,
    received_us: OnceLock<u64>,
    decided_us: OnceLock<u64>,
    durable_us: OnceLock<u64>,
}

impl RequestTrace {
    pub(super) fn new(traces: Traces, parent: Option<SpanContext>) -> Self {
        let trace_id = parent
            .as_ref()
            .map_or_else(new_trace_id, SpanContext::trace_id);
        Self {
            context: context(trace_id),
            parent,
            started_at: system_time(traces.shared.clock.wall()),
            started_us: traces.shared.clock.monotonic_us(),
            traces,
            received_us: OnceLock::new(),
            decided_us: OnceLock::new(),
            durable_us: OnceLock::new(),
        }
    }

    /// Notes that `stage` is over.
    pub fn ended(&self, stage: Stage) {
        let at_us = match stage {
            Stage::Received => &self.received_us,
            Stage::Decided => &self.decided_us,
            Stage::Durable => &self.durable_us,
        };
        let _first = at_us.set(self.traces.shared.clock.monotonic_us());
    }

    /// Queues its spans.
    pub fn answered(self, answered: Answered<'_>) {
        let end_us = self.traces.shared.clock.monotonic_us();
        let mut begin_us = self.started_us;
        for (name, at_us) in [
            ("receive", &self.received_us),
            ("decide", &self.decided_us),
            ("make durable", &self.durable_us),
        ] {
            let Some(at_us) = at_us.get().copied() else {
                break;
            };
            let draft = Draft {
                name: name.into(),
                kind: SpanKind::Internal,
                start: self.at(begin_us),
                end: self.at(at_us),
                attributes: Vec::new(),
                status: Status::Unset,
            };
            let own = context(self.context.trace_id());
            self.traces.finish(own, Some(&self.context), draft);
            begin_us = at_us;
        }
        let draft = Draft {
            name: name(&answered).into(),
            kind: SpanKind::Server,
            start: self.started_at,
            end: self.at(end_us),
            attributes: attributes(&answered),
            status: if answered.status.is_server_error() {
                Status::error("")
            } else {
                Status::Unset
            },
        };
        self.traces
            .finish(self.context.clone(), self.parent.as_ref(), draft);
    }

    fn at(&self, us: u64) -> SystemTime {
        self.started_at + Duration::from_micros(us.saturating_sub(self.started_us))
    }
}

fn context(trace_id: opentelemetry::trace::TraceId) -> SpanContext {
    let (flags, state) = (TraceFlags::SAMPLED, TraceState::default());
    SpanContext::new(trace_id, new_span_id(), flags, false, state)
}

/// As OpenTelemetry names what has a route and what has none.
fn name(answered: &Answered<'_>) -> String {
    let method = method(answered.method);
    match answered.route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    }
}

/// A stranger may call a method anything.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

fn attributes(answered: &Answered<'_>) -> Vec<KeyValue> {
    let version = match answered.version {
        Version::HTTP_3 => "3",
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    let mut attributes = vec![
        KeyValue::new("http.request.method", method(answered.method)),
        KeyValue::new("network.protocol.version", version),
        KeyValue::new(
            "http.response.status_code",
            i64::from(answered.status.as_u16()),
        ),
    ];
    if let Some(route) = answered.route {
        attributes.push(KeyValue::new("http.route", route));
    }
    attributes
}
