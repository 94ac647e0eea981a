//! Traces of some requests and deliveries, sent to an OpenTelemetry collector as OTLP over HTTP
//! (protobuf). Off unless `telemetry.otlp.endpoint` is set.
//!
//! What a span may say is a closed list of attributes. None is about a visitor: no address,
//! id, path or query. Metrics are scraped and logs are lines: neither is sent from here.

mod request;
mod delivery;
mod queue;
mod client;
mod metrics;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_event::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

pub use client::ExportError;
pub use metrics::TraceMetrics;
pub use queue::Export;
pub use request::RequestTrace;

pub use super::traced::{Answered, Stage};
use crate::clock::Clock;
use crate::settings::Otlp;

/// Where spans are begun; clones share one queue.
#[derive(Clone, Debug)]
pub struct Traces {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// One request in so many; 0: none but those that a trusted peer asks for.
    sample: u32,
    queue: mpsc::Sender<SpanData>,
    scope: InstrumentationScope,
    clock: Arc<dyn Clock>,
    metrics: TraceMetrics,
}

/// A span without its place in a trace.
struct Draft {
    name: std::borrow::Cow<'static, str>,
    kind: SpanKind,
    start: SystemTime,
    end: SystemTime,
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Traces {
    /// Begins nothing yet and sends nothing before [`Export`] runs.
    ///
    /// # Errors
    /// Where the library refuses the endpoint, or the TLS that it asks for.
    pub fn new(
        settings: &Otlp,
        endpoint: &str,
        clock: Arc<dyn Clock>,
        metrics: TraceMetrics,
    ) -> Result<(Self, Export), ExportError> {
        let (queue, queued) = mpsc::channel(settings.queue_max);
        let export = Export::new(settings, endpoint, queued, metrics.clone())?;
        let scope = InstrumentationScope::builder("tidegate")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let shared = Shared {
            sample: settings.sample,
            queue,
            scope,
            clock,
            metrics,
        };
        Ok((
            Self {
                shared: Arc::new(shared),
            },
            export,
        ))
    }

    /// A trace of a request that begins now, where it is one of the sample. `believed` are its
    /// headers where its peer is trusted: their `traceparent` (W3C Trace Context) then decides.
    #[must_use]
    pub fn begin(&self, believed: Option<&HeaderMap>) -> Option<RequestTrace> {
        let parent = believed.and_then(parent_of);
        let sampled = match &parent {
            Some(parent) => parent.is_sampled(),
            None => self.draws(),
        };
        sampled.then(|| RequestTrace::new(self.clone(), parent))
    }

    /// True for one in `sample`.
    fn draws(&self) -> bool {
        thread_local! {
            static RANDOM: RefCell<StdRng> = RefCell::new(StdRng::from_os_rng());
        }
        let sample = self.shared.sample;
        sample > 0 && RANDOM.with_borrow_mut(|random| random.random_ratio(1, sample))
    }

    /// Queues a span; one that finds no room, or a gateway that stops, is counted and dropped.
    fn finish(&self, context: SpanContext, parent: Option<&SpanContext>, draft: Draft) {
        let span = SpanData {
            span_context: context,
            parent_span_id: parent.map_or(SpanId::INVALID, SpanContext::span_id),
            parent_span_is_remote: parent.is_some_and(SpanContext::is_remote),
            span_kind: draft.kind,
            name: draft.name,
            start_time: draft.start,
            end_time: draft.end,
            attributes: draft.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: draft.status,
            instrumentation_scope: self.shared.scope.clone(),
        };
        match self.shared.queue.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.shared.metrics.dropped.inc();
            }
            Err(TrySendError::Closed(_)) => {
                self.shared.metrics.stopped.inc();
            }
        }
    }
}

/// The span that a trusted peer made for what it sends.
fn parent_of(headers: &HeaderMap) -> Option<SpanContext> {
    let no_parent = Context::new();
    let read =
        TraceContextPropagator::new().extract_with_context(&no_parent, &HeaderExtractor(headers));
    let parent = read.span().span_context().clone();
    parent.is_valid().then_some(parent)
}

fn new_span_id() -> SpanId {
    RandomIdGenerator::default().new_span_id()
}

fn new_trace_id() -> opentelemetry::trace::TraceId {
    RandomIdGenerator::default().new_trace_id()
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}

#[cfg(test)]
mod tests;
