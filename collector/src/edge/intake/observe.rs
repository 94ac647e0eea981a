//! What a request leaves in metrics and traces.

use http::{Method, StatusCode};

use super::chain::Head;
use crate::edge::Edge;
use crate::edge::route::Route;
use crate::telemetry::traces::{Answered, RequestTrace};

impl<A> Edge<A> {
    /// A trace, where the request is one of those that get one.
    pub(super) fn trace(&self, head: &Head<'_>) -> Option<Box<RequestTrace>> {
        let traces = self.traces.as_ref()?;
        let is_trusted = head.terms.proxies.is_trusted(head.channel.peer);
        let believed = is_trusted.then_some(&head.parts.headers);
        traces.begin(believed).map(Box::new)
    }

    /// Counts an answered request, and ends its trace. `since_us` is when the request came.
    pub(super) fn observe(
        &self,
        head: &Head<'_>,
        status: StatusCode,
        since_us: u64,
        trace: Option<Box<RequestTrace>>,
    ) {
        let parts = head.parts;
        self.metrics.answered(parts.version, status);
        let takes_events = head.route.is_some_and(Route::carries_events);
        if takes_events && status == StatusCode::OK && parts.method != Method::OPTIONS {
            let us = self.clock.monotonic_us().saturating_sub(since_us);
            self.metrics.ack_times.took(us);
        }
        if let Some(trace) = trace {
            trace.answered(Answered {
                method: &parts.method,
                route: head.route.map(Route::path),
                version: parts.version,
                status,
            });
        }
    }
}
