//! What the edge counts beside outcomes: requests, connections, bodies. Each counter is resolved
//! once at start, so that counting a request is one atomic add.

use std::sync::Arc;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::body::BodyError;
use crate::tracked::Outcomes;

/// Every status that the edge answers with.
const STATUSES: [u16; 10] = [200, 304, 400, 401, 403, 404, 405, 413, 429, 503];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The edge's metrics.
#[derive(Debug)]
pub struct EdgeMetrics {
    /// Received and ended events.
    pub outcomes: Arc<Outcomes>,
    requests: [Counter; STATUSES.len()],
    requests_other: Counter,
    rejected_bodies: [Counter; BodyError::REASONS.len()],
    pub(super) body_bytes: Counter,
    pub(super) inflated_bytes: Counter,
    pub(super) buffered_bytes: Gauge,
    pub(super) connections: Gauge,
    pub(super) connections_total: Counter,
    pub(super) requests_in_flight: Gauge,
}

impl EdgeMetrics {
    /// Registers all of them at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::<StatusLabel, Counter>::default();
        let rejected = Family::<ReasonLabel, Counter>::default();
        registry.register(
            "tidegate_edge_requests",
            "Requests answered, by status",
            requests.clone(),
        );
        registry.register(
            "tidegate_edge_rejected_bodies",
            "Request bodies not taken, by reason",
            rejected.clone(),
        );
        Self {
            outcomes: Outcomes::register(registry),
            requests: STATUSES.map(|status| requests.get_or_create_owned(&StatusLabel { status })),
            requests_other: requests.get_or_create_owned(&StatusLabel { status: 500 }),
            rejected_bodies: BodyError::REASONS
                .map(|reason| rejected.get_or_create_owned(&ReasonLabel { reason })),
            body_bytes: counter(
                registry,
                "tidegate_edge_body_bytes",
                "Body bytes received, as sent",
            ),
            inflated_bytes: counter(
                registry,
                "tidegate_edge_inflated_bytes",
                "Bytes that compressed bodies inflated to",
            ),
            buffered_bytes: gauge(
                registry,
                "tidegate_edge_buffered_bytes",
                "Bytes of request bodies in memory",
            ),
            connections: gauge(registry, "tidegate_edge_connections", "Open connections"),
            connections_total: counter(
                registry,
                "tidegate_edge_connections_opened",
                "Connections accepted",
            ),
            requests_in_flight: gauge(
                registry,
                "tidegate_edge_requests_in_flight",
                "Requests in work",
            ),
        }
    }

    pub(super) fn answered(&self, status: StatusCode) {
        let index = STATUSES.iter().position(|known| *known == status.as_u16());
        index
            .map_or(&self.requests_other, |index| &self.requests[index])
            .inc();
    }

    pub(super) fn rejected_body(&self, error: BodyError) {
        self.rejected_bodies[error.reason_index()].inc();
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}
