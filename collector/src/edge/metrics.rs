//! What the edge counts beside outcomes: requests, connections, bodies. Each counter is resolved
//! once at start, so that counting a request is one atomic add.

use std::sync::Arc;

use http::{StatusCode, Version};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::ack_times::AckTimes;
use super::body::BodyError;
use super::limits::LimitMetrics;
use super::listener::Refused;
use crate::tracked::Outcomes;

/// Every status that the edge answers with; the last one also stands for any other.
const STATUSES: [u16; 13] = [
    200, 304, 400, 401, 403, 404, 405, 408, 413, 429, 431, 503, 500,
];

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

/// Why a connection was ended that its client had not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A message that two readers could frame differently; answered 400.
    Framing,
    /// What is no HTTP; answered 400, or by GOAWAY.
    Malformed,
    /// A head over `edge.header_bytes_max` or `edge.headers_max`; answered 431, over HTTP/3 by
    /// H3_EXCESSIVE_LOAD.
    HeadTooLarge,
    /// Frames that only cost work: resets and CONTINUATION of HTTP/2, answered by GOAWAY; of HTTP/3
    /// those that carry nothing, answered by H3_EXCESSIVE_LOAD.
    Flood,
    /// `edge.requests_per_connection_max`
    Requests,
}

impl Cut {
    const REASONS: [&'static str; 5] = [
        "framing",
        "malformed",
        "head_too_large",
        "flood",
        "requests",
    ];
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
#[derive(Clone, Debug)]
pub struct EdgeMetrics {
    /// Received and ended events.
    pub outcomes: Arc<Outcomes>,
    requests: [Counter; STATUSES.len() - 1],
    requests_other: Counter,
    versions: [Counter; 3],
    handshakes: [Counter; 3],
    proxy_headers: [Counter; 4],
    rejected_bodies: [Counter; BodyError::REASONS.len()],
    /// What the limits did.
    pub(super) limits: LimitMetrics,
    pub(super) body_bytes: Counter,
    pub(super) inflated_bytes: Counter,
    pub(super) buffered_bytes: Gauge,
    pub(super) connections: Gauge,
    connections_total: Counter,
    connections_cut: [Counter; Cut::REASONS.len()],
    /// QUIC handshakes under way.
    pub(super) quic_handshakes: Gauge,
    /// Clients sent to prove their address.
    pub(super) quic_retries: Counter,
    /// Clients turned away for want of a place.
    pub(super) quic_refused: Counter,
    pub(super) requests_in_flight: Gauge,
    /// How long requests for events took that are answered 200.
    pub(super) ack_times: AckTimes,
}

impl EdgeMetrics {
    /// Registers all of them at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let name = "tidegate_edge_requests";
        let help = "Requests answered, by status";
        let statuses = STATUSES.map(|status| StatusLabel { status });
        let [requests @ .., requests_other] = counters(registry, name, help, statuses);
        let name = "tidegate_edge_requests_by_version";
        let help = "Requests answered, by version of HTTP";
        let versions = ["1", "2", "3"].map(|version| VersionLabel { version });
        let versions = counters(registry, name, help, versions);
        let name = "tidegate_tls_handshakes";
        let help = "TLS handshakes ended, over TCP and in QUIC";
        let handshakes = ["ok", "failed", "timeout"].map(|result| ResultLabel { result });
        let handshakes = counters(registry, name, help, handshakes);
        let name = "tidegate_edge_proxy_headers";
        let help = "PROXY protocol headers read or refused";
        let headers = ["ok", "untrusted", "malformed", "timeout"];
        let headers = headers.map(|result| ResultLabel { result });
        let proxy_headers = counters(registry, name, help, headers);
        let name = "tidegate_edge_rejected_bodies";
        let help = "Request bodies not taken, by reason";
        let rejected_bodies = by_reason(registry, name, help, BodyError::REASONS);
        let name = "tidegate_edge_connections_cut";
        let help = "Connections ended because of what their client sent, by reason";
        let connections_cut = by_reason(registry, name, help, Cut::REASONS);
        let mut counter = |name, help| counter(registry, name, help);
        let connections_total = counter("tidegate_edge_connections_opened", "Connections accepted");
        let body_bytes = counter("tidegate_edge_body_bytes", "Body bytes received, as sent");
        let inflated_bytes = counter(
            "tidegate_edge_inflated_bytes",
            "Bytes that compressed bodies inflated to",
        );
        let quic_retries = counter("tidegate_quic_retries", "QUIC clients sent a Retry");
        let quic_refused = counter("tidegate_quic_refused", "QUIC clients turned away");
        let mut gauge = |name, help| gauge(registry, name, help);
        Self {
            requests,
            requests_other,
            versions,
            handshakes,
            proxy_headers,
            rejected_bodies,
            body_bytes,
            inflated_bytes,
            connections_total,
            connections_cut,
            quic_retries,
            quic_refused,
            connections: gauge("tidegate_edge_connections", "Open connections"),
            requests_in_flight: gauge("tidegate_edge_requests_in_flight", "Requests in work"),
            quic_handshakes: gauge(
                "tidegate_quic_handshakes_in_progress",
                "QUIC handshakes under way",
            ),
            buffered_bytes: gauge(
                "tidegate_edge_buffered_bytes",
                "Bytes of request bodies, of batches read from them, and of incomplete HTTP/3 heads",
            ),
            ack_times: AckTimes::register(registry),
            limits: LimitMetrics::register(registry),
            outcomes: Outcomes::register(registry),
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
        let known = index.and_then(|index| self.requests.get(index));
        known.unwrap_or(&self.requests_other).inc();
    }

    /// Counts a connection for as long as what is returned lives.
    pub(super) fn open_connection(&self) -> Open {
        self.connections_total.inc();
        Open::new(&self.connections)
    }

    pub(super) fn cut(&self, why: Cut) {
        self.connections_cut[why as usize].inc();
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

/// One counter for each reason.
pub(super) fn by_reason<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    reasons: [&'static str; N],
) -> [Counter; N] {
    let labels = reasons.map(|reason| ReasonLabel { reason });
    counters(registry, name, help, labels)
}

/// One counter for each label.
fn counters<L, const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    labels: [L; N],
) -> [Counter; N]
where
    L: EncodeLabelSet + Clone + Eq + std::hash::Hash + std::fmt::Debug + Send + Sync + 'static,
{
    let family = Family::<L, Counter>::default();
    registry.register(name, help, family.clone());
    labels.map(|label| family.get_or_create_owned(&label))
}

pub(super) fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

pub(super) fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}
