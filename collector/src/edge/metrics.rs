//! What the edge counts beside outcomes: requests, connections, bodies. Each counter is resolved
//! once at start, so that counting a request is one atomic add.

use std::sync::Arc;

use http::{StatusCode, Version};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::body::BodyError;
use super::listener::Refused;
use crate::tracked::Outcomes;

/// Every status that the edge answers with.
const STATUSES: [u16; 10] = [200, 304, 400, 401, 403, 404, 405, 413, 429, 503];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// How a TLS handshake ended, over TCP or in QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// With a connection.
    Ok,
    /// With an error, of whichever side.
    Failed,
    /// After `edge.tls.handshake_timeout`.
    Timeout,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
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
    versions: [Counter; 3],
    handshakes: [Counter; 3],
    proxy_headers: [Counter; 4],
    rejected_bodies: [Counter; BodyError::REASONS.len()],
    pub(super) body_bytes: Counter,
    pub(super) inflated_bytes: Counter,
    pub(super) buffered_bytes: Gauge,
    pub(super) connections: Gauge,
    connections_total: Counter,
    /// QUIC handshakes under way.
    pub(super) quic_handshakes: Gauge,
    /// Clients sent to prove their address.
    pub(super) quic_retries: Counter,
    /// Clients turned away for want of a place.
    pub(super) quic_refused: Counter,
    pub(super) requests_in_flight: Gauge,
}

impl EdgeMetrics {
    /// Registers all of them at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::<StatusLabel, Counter>::default();
        let rejected = Family::<ReasonLabel, Counter>::default();
        let versions = Family::<VersionLabel, Counter>::default();
        let handshakes = Family::<ResultLabel, Counter>::default();
        let proxy_headers = Family::<ResultLabel, Counter>::default();
        registry.register(
            "tidegate_edge_requests_by_version",
            "Requests answered, by version of HTTP",
            versions.clone(),
        );
        registry.register(
            "tidegate_tls_handshakes",
            "TLS handshakes ended, over TCP and in QUIC",
            handshakes.clone(),
        );
        registry.register(
            "tidegate_edge_proxy_headers",
            "PROXY protocol headers read or refused",
            proxy_headers.clone(),
        );
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
            versions: ["1", "2", "3"]
                .map(|version| versions.get_or_create_owned(&VersionLabel { version })),
            handshakes: ["ok", "failed", "timeout"]
                .map(|result| handshakes.get_or_create_owned(&ResultLabel { result })),
            proxy_headers: ["ok", "untrusted", "malformed", "timeout"]
                .map(|result| proxy_headers.get_or_create_owned(&ResultLabel { result })),
            quic_handshakes: gauge(
                registry,
                "tidegate_quic_handshakes_in_progress",
                "QUIC handshakes under way",
            ),
            quic_retries: counter(
                registry,
                "tidegate_quic_retries",
                "QUIC clients sent to prove their address first",
            ),
            quic_refused: counter(
                registry,
                "tidegate_quic_refused",
                "QUIC clients turned away at edge.connections_max",
            ),
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

    pub(super) fn answered(&self, version: Version, status: StatusCode) {
        let version = match version {
            Version::HTTP_2 => 1,
            Version::HTTP_3 => 2,
            _ => 0,
        };
        self.versions[version].inc();
        let index = STATUSES.iter().position(|known| *known == status.as_u16());
        index
            .map_or(&self.requests_other, |index| &self.requests[index])
            .inc();
    }

    /// Counts a connection for as long as what is returned lives.
    pub(super) fn open_connection(&self) -> Open {
        self.connections_total.inc();
        Open::new(&self.connections)
    }

    /// As [`Self::open_connection`], of QUIC handshakes.
    pub(super) fn quic_handshake(&self) -> Open {
        Open::new(&self.quic_handshakes)
    }

    pub(super) fn handshake(&self, end: Handshake) {
        self.handshakes[end as usize].inc();
    }

    pub(super) fn proxy_header(&self, refused: Option<Refused>) {
        let index = match refused {
            None => 0,
            Some(Refused::Untrusted) => 1,
            Some(Refused::Malformed) => 2,
            Some(Refused::Timeout) => 3,
        };
        self.proxy_headers[index].inc();
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
