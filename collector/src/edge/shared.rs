//! What all connections and requests share: the gateway's parts, and the settings in force.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::accept::Accept;
use super::limits::{Admission, AwaitedBodies, PerAddress, Place};
use super::listening::Listening;
use super::metrics::EdgeMetrics;
use super::sources::RuntimeCatalog;
use super::terms::Terms;
use crate::bad_rows::BadRows;
use crate::clock::Clock;
use crate::pipeline::enrich::Enrichment;
use crate::recent::RecentOutcomes;
use crate::settings::Settings;
use crate::telemetry::traces::Traces;

/// Everything a request needs. Shared by all connections.
pub struct Edge<A> {
    pub(super) listening: Listening,
    pub(super) in_force: ArcSwap<Terms>,
    http3_port: Option<u16>,
    pub(super) catalog: Arc<ArcSwap<RuntimeCatalog>>,
    pub(super) core: A,
    pub(super) enrichment: Arc<dyn Enrichment>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: EdgeMetrics,
    pub(super) bad_rows: BadRows,
    pub(super) admission: Admission,
    /// Of each address.
    connections: PerAddress,
    pub(super) awaited: AwaitedBodies,
    /// Bytes of bodies, and of events read from them, of each address.
    pub(super) held: PerAddress,
    pub(super) recent: RecentOutcomes,
    pub(super) draining: Arc<AtomicBool>,
    /// The disk does not answer.
    pub(super) disk_hangs: Arc<AtomicBool>,
    /// None where nothing is traced.
    pub(super) traces: Option<Traces>,
}

impl<A> std::fmt::Debug for Edge<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge")
            .field("listening", &self.listening)
            .field("in_force", &self.in_force)
            .finish_non_exhaustive()
    }
}

impl<A: Accept> Edge<A> {
    /// An edge on these parts. Storing a new `RuntimeCatalog` takes effect with the next request.
    #[must_use]
    pub fn new(
        settings: &Settings,
        catalog: Arc<ArcSwap<RuntimeCatalog>>,
        core: A,
        enrichment: Arc<dyn Enrichment>,
        clock: Arc<dyn Clock>,
        metrics: EdgeMetrics,
        bad_rows: BadRows,
    ) -> Self {
        Self {
            listening: Listening::new(&settings.edge),
            in_force: ArcSwap::from_pointee(Terms::new(settings, None)),
            http3_port: None,
            admission: Admission::default(),
            connections: PerAddress::default(),
            awaited: AwaitedBodies::new(&metrics.limits.bodies_awaited),
            held: PerAddress::default(),
            catalog,
            core,
            enrichment,
            clock,
            metrics,
            bad_rows,
            recent: RecentOutcomes::default(),
            draining: Arc::default(),
            disk_hangs: Arc::default(),
            traces: None,
        }
    }

    /// Notes in `recent` how events end.
    #[must_use]
    pub fn remembering(mut self, recent: RecentOutcomes) -> Self {
        self.recent = recent;
        self
    }

    /// Health checks fail while `draining` or `disk_hangs` is set; all else is answered as before.
    #[must_use]
    pub fn until(mut self, draining: Arc<AtomicBool>, disk_hangs: Arc<AtomicBool>) -> Self {
        self.draining = draining;
        self.disk_hangs = disk_hangs;
        self
    }

    /// Traces some of its requests.
    #[must_use]
    pub fn tracing(mut self, traces: Option<Traces>) -> Self {
        self.traces = traces;
        self
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        u64::try_from(self.metrics.connections.get()).unwrap_or(0)
    }

    /// Tells browsers that come by TLS of HTTP/3 on this port, or on the one that the settings say
    /// stands for it. Not where a proxy that carries TCP stands in front: UDP does not come through it.
    #[must_use]
    pub fn advertising_http3(mut self, port: u16, settings: &Settings) -> Self {
        self.http3_port = Some(port).filter(|_| !self.listening.proxy_protocol.https);
        self.renew(settings);
        self
    }

    /// Answers every request from now on by other settings; those in work end by the old ones.
    /// What belongs to listeners and connections stays as it was made.
    pub fn renew(&self, settings: &Settings) {
        let next = Terms::new(settings, self.http3_port);
        let next = self.in_force.load().followed_by(next);
        self.in_force.store(Arc::new(next));
    }
}

impl<A> Edge<A> {
    /// A place for a connection of `peer` among those that one address may have; None, counted:
    /// it has as many. The connections of a trusted proxy are everybody's and not limited, nor are
    /// those of this host.
    pub(super) fn place_for(&self, peer: IpAddr) -> Option<Place> {
        let limit = self.listening.connections_per_address_max;
        let is_limited = || !peer.is_loopback() && !self.in_force.load().proxies.is_trusted(peer);
        let place = match limit {
            Some(max) if is_limited() => self.connections.enter(peer, max),
            Some(_) | None => Some(Place::default()),
        };
        if place.is_none() {
            self.metrics.limits.connections_refused.inc();
        }
        place
    }

    /// Whether a PROXY protocol header of `peer` is believed.
    pub(super) fn may_introduce(&self, peer: IpAddr) -> bool {
        self.in_force.load().proxies.may_introduce(peer)
    }

    /// How long a body, or an answer to a client that reads it slowly, may take.
    pub(super) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.in_force.load().body_timeout_ms)
    }
}
