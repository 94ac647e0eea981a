//! A span for each sampled attempt to deliver a callback. Attempts come from the outbox, long after
//! their request was answered: each is a trace of its own.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use tidegate_activation::{Attempt, Observer};

use super::{Draft, Traces, new_span_id, new_trace_id, system_time};

impl Observer for Traces {
    fn attempted(&self, attempt: &Attempt<'_>) {
        if !self.draws() {
            return;
        }
        let mut attributes = vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("tidegate.destination", attempt.destination.to_owned()),
            KeyValue::new("http.request.resend_count", i64::from(attempt.resent)),
        ];
        if let Some(status) = attempt.status {
            let status = i64::from(status);
            attributes.push(KeyValue::new("http.response.status_code", status));
        }
        if let Some(failure) = attempt.failure {
            attributes.push(KeyValue::new("error.type", failure));
        }
        // As OpenTelemetry counts for a client.
        let failed = attempt.failure.is_some() || attempt.status.is_some_and(|code| code >= 400);
        let draft = Draft {
            name: "deliver".into(),
            kind: SpanKind::Client,
            start: system_time(attempt.sent_at),
            end: system_time(attempt.ended_at),
            attributes,
            status: if failed {
                Status::error("")
            } else {
                Status::Unset
            },
        };
        let (flags, state) = (TraceFlags::SAMPLED, TraceState::default());
        let context = SpanContext::new(new_trace_id(), new_span_id(), flags, false, state);
        self.finish(context, None, draft);
    }
}
