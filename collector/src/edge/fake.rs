//! A core that tests can steer, and an edge on a free port in front of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use http::header::HOST;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tidegate_event::{Device, Enriched, Geo, Hit, Identity, Outcome, Pulses, Timestamp};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::limits::Progress;
use super::request::text;
use super::{
    Accept, Edge, EdgeMetrics, Given, Listeners, RawHit, RuntimeCatalog, Sockets, Tls, TlsMetrics,
};
use crate::bad_rows::BadRows;
use crate::catalog::{Catalog, ConsentDefault, Source, SourceKind};
use crate::clock::{Clock, SystemClock};
use crate::core::{Accepted, Lookup, Newcomers, Refused, VisitorSegments};
use crate::pipeline::enrich::{DeviceLookup, GeoLookup};
use crate::recent::RecentOutcomes;
use crate::settings::{CertificateFiles, Settings};
use crate::tracked::Outcomes;

pub(super) fn web_source() -> Source {
    Source {
        origins: vec!["https://shop.example".to_owned()],
        ..Source::web("shop", "shop-key")
    }
}

pub(super) fn server_source() -> Source {
    Source {
        name: "crm".to_owned(),
        write_key: "crm-key".to_owned(),
        kind: SourceKind::Server,
        ..web_source()
    }
}

pub(super) fn strict_source() -> Source {
    Source {
        name: "strict".to_owned(),
        write_key: "strict-key".to_owned(),
        consent_default: ConsentDefault::Denied,
        ..web_source()
    }
}

pub(super) fn raw_hit(headers: &HeaderMap) -> RawHit<'_> {
    RawHit {
        method: &Method::GET,
        path: "/",
        query: None,
        headers,
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        secure: false,
        host: text(headers, HOST).map(Cow::Borrowed),
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        body: &[],
        received_at: Timestamp(0),
        trace: None,
    }
}

/// What a test wants to know of an accepted hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) message_id: Option<String>,
    pub(super) anonymous_id: Option<String>,
    pub(super) linked_cookie_id: Option<String>,
    pub(super) minted: bool,
    pub(super) ip: Option<String>,
}

#[derive(Debug, Default)]
struct CoreState {
    seen: Vec<Seen>,
    offsets: HashMap<String, u64>,
    progress: Progress,
    refuse: Option<Refused>,
}

/// Accepts, remembers, and calls an offset durable when the test says so.
#[derive(Clone, Debug)]
pub(super) struct FakeCore {
    state: Arc<Mutex<CoreState>>,
    durable: watch::Sender<Result<u64, Refused>>,
}

impl FakeCore {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::default(),
            durable: watch::Sender::new(Ok(u64::MAX)),
        }
    }

    /// Offsets up to this one are durable; an error fails every wait.
    pub(super) fn set_durable(&self, durable: Result<u64, Refused>) {
        let _before = self.durable.send_replace(durable);
    }

    /// How far the journal says it is.
    pub(super) fn set_progress(&self, next: u64, durable: u64) {
        self.state.lock().progress = Progress { next, durable };
    }

    /// Refuses every hit from now on.
    pub(super) fn refuse(&self, refused: Option<Refused>) {
        self.state.lock().refuse = refused;
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }
}

impl Accept for FakeCore {
    fn progress(&self) -> Progress {
        self.state.lock().progress
    }

    async fn accept(
        &self,
        _source: &Source,
        hit: &Enriched<'_>,
        newcomers: &dyn Newcomers,
    ) -> Result<Accepted, Refused> {
        let mut state = self.state.lock();
        if let Some(refused) = state.refuse {
            return Err(refused);
        }
        let message_id = hit.hit.message_id.as_deref().map(str::to_owned);
        if let Some(offset) = message_id.as_ref().and_then(|id| state.offsets.get(id)) {
            return Ok(Accepted {
                offset: *offset,
                duplicate: true,
            });
        }
        newcomers
            .take()
            .map_err(|retry_after_s| Refused::NewProfiles { retry_after_s })?;
        let offset = state.seen.len() as u64 + 1;
        if let Some(id) = &message_id {
            state.offsets.insert(id.clone(), offset);
        }
        let ids = match &hit.identity {
            Identity::Anonymous => None,
            Identity::Known(ids) => Some(ids),
        };
        let owned = |id: Option<&str>| id.map(str::to_owned);
        state.seen.push(Seen {
            message_id,
            anonymous_id: owned(ids.and_then(|ids| ids.anonymous_id.as_deref())),
            linked_cookie_id: owned(ids.and_then(|ids| ids.linked_cookie_id.as_deref())),
            minted: ids.is_some_and(|ids| ids.minted),
            ip: hit.ip_truncated.clone(),
        });
        Ok(Accepted {
            offset,
            duplicate: false,
        })
    }

    fn knows(&self, _source: &Source, hit: &Hit<'_>) -> bool {
        let id = hit.message_id.as_deref();
        id.is_some_and(|id| self.state.lock().offsets.contains_key(id))
    }

    async fn durable(&self, offset: u64) -> Result<(), Refused> {
        let mut durable = self.durable.subscribe();
        let reached = durable
            .wait_for(|durable| durable.is_err() || durable.is_ok_and(|upto| upto >= offset))
            .await;
        match reached.map(|value| *value) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(refused)) => Err(refused),
            Err(_) => Err(Refused::Stopped),
        }
    }

    async fn segments(&self, lookup: Lookup<'_>) -> Result<VisitorSegments, Refused> {
        if let Some(refused) = self.state.lock().refuse {
            return Err(refused);
        }
        let name = match lookup {
            Lookup::Anonymous(id) => format!("anonymous {id}"),
            Lookup::User(id) => format!("user {id}"),
        };
        Ok(VisitorSegments {
            segments: vec![Arc::from("pricing \"a\""), Arc::from(name)],
            as_of: 7,
        })
    }
}

/// Nobody knows where anybody is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nowhere;

impl GeoLookup for Nowhere {
    fn lookup(&self, _ip: IpAddr) -> Geo {
        Geo::default()
    }
}

impl DeviceLookup for Nowhere {
    fn device(&self, _user_agent: &str, _now: Timestamp) -> Arc<Device> {
        Arc::default()
    }
}

/// A self-signed pair for this name, in files called `file`.
pub(super) fn write_pair(dir: &Path, file: &str, name: &str) -> CertificateFiles {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let files = CertificateFiles {
        cert: dir.join(format!("{file}.pem")),
        key: dir.join(format!("{file}-key.pem")),
    };
    std::fs::write(&files.cert, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    files
}

/// The machine's clocks, the wall clock so far ahead as the test says.
#[derive(Debug, Default)]
pub(super) struct AheadClock {
    system: SystemClock,
    ahead_ms: AtomicI64,
}

impl AheadClock {
    pub(super) fn set_ahead_ms(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }
}

impl Clock for AheadClock {
    fn now(&self) -> Timestamp {
        Timestamp(Clock::now(&self.system).0 + self.ahead_ms.load(Ordering::Relaxed))
    }

    fn monotonic_us(&self) -> u64 {
        self.system.monotonic_us()
    }
}

fn three_sources() -> RuntimeCatalog {
    RuntimeCatalog::new(&Catalog {
        sources: vec![web_source(), server_source(), strict_source()],
        ..Catalog::default()
    })
}

/// A served edge. Stopped by [`Self::stop`], else with the test's runtime.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    /// Of TLS and QUIC, where the settings have `https`.
    pub(super) secure: Option<SocketAddr>,
    pub(super) tls: Option<Tls>,
    pub(super) core: FakeCore,
    pub(super) clock: Arc<AheadClock>,
    pub(super) outcomes: Arc<Outcomes>,
    pub(super) bad_rows: BadRows,
    pub(super) recent: RecentOutcomes,
    pub(super) catalog: Arc<ArcSwap<RuntimeCatalog>>,
    pub(super) registry: Registry,
    settings: Settings,
    edge: Arc<Edge<FakeCore>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    dir: TempDir,
}

impl Served {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.edge.http = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        change(&mut settings);
        let dir = tempfile::tempdir().unwrap();
        let mut registry = Registry::default();
        let pulse = Pulses::default().register("bad-rows", 60_000);
        let bad_rows =
            BadRows::start(dir.path(), &settings.bad_rows, &mut registry, pulse).unwrap();
        let metrics = EdgeMetrics::register(&mut registry);
        let outcomes = Arc::clone(&metrics.outcomes);
        let catalog = Arc::new(ArcSwap::from_pointee(three_sources()));
        let core = FakeCore::new();
        let sockets = Sockets::bind(&settings.edge, Given::default()).unwrap();
        let address = sockets.http.local_addr().unwrap();
        let secure = sockets.https.as_ref().map(|tcp| tcp.local_addr().unwrap());
        let quic = sockets.quic.as_ref().map(|udp| udp.local_addr().unwrap());
        let clock = Arc::new(AheadClock::default());
        let tls = secure.map(|_| {
            let metrics = TlsMetrics::register(&mut registry);
            Tls::open(&settings.edge.tls, dir.path(), clock.clone(), metrics).unwrap()
        });
        let listeners = Listeners::new(sockets, tls.clone(), &settings.edge.h3).unwrap();
        let mut edge = Edge::new(
            &settings,
            Arc::clone(&catalog),
            core.clone(),
            Arc::new(Nowhere),
            clock.clone(),
            metrics,
            bad_rows.clone(),
        );
        let recent = RecentOutcomes::new(100, 1);
        edge = edge.remembering(recent.clone());
        if let Some(quic) = quic {
            edge = edge.advertising_http3(quic.port(), &settings);
        }
        let edge = Arc::new(edge);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(listeners.serve(Arc::clone(&edge), async {
            let _ = stopped.await;
        }));
        Self {
            address,
            secure,
            tls,
            core,
            clock,
            outcomes,
            bad_rows,
            recent,
            catalog,
            registry,
            settings,
            edge,
            stop,
            task,
            dir,
        }
    }

    /// With TLS and HTTP/3 on a free port, under a self-signed certificate.
    pub(super) async fn secure(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_with(|settings| {
            settings.edge.https = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
            change(settings);
        })
        .await
    }

    /// Takes other settings as a reload does.
    pub(super) fn renew(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.edge.renew(&self.settings);
    }

    /// Its disk answers no more, or again.
    pub(super) fn hang(&self, hangs: bool) {
        self.edge.disk_hangs.store(hangs, Ordering::Relaxed);
    }

    /// Is about to stop from now on.
    pub(super) fn drain(&self) {
        self.edge.draining.store(true, Ordering::Relaxed);
    }

    /// The certificate that it made for itself.
    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.dir.path().join("tls/self-signed.pem")).unwrap()
    }

    /// The metrics as they are scraped.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Asks it to stop; the task ends when it has.
    pub(super) fn stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.task
    }

    /// Received, and the sum of all outcomes: they have to be the same.
    pub(super) fn balance(&self) -> (u64, u64) {
        let ended = Outcome::ALL.iter().map(|o| self.outcomes.ended(*o)).sum();
        (self.outcomes.received(), ended)
    }
}
