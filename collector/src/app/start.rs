//! Start: directory, journal, catalog, state, activation, cursors, listeners. What fails says what
//! to do; nothing is served before everything stands.

use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::Duration;

use arc_swap::ArcSwap;
use fjall::Database;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_activation::Activation;
use tidegate_journal::Journal;
use tidegate_journal::storage::RealStorage;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::watch::{Receiver, channel};
use tokio::task::JoinHandle;

use super::ahead::Ahead;
use super::catalogs::Catalogs;
use super::control::AppControl;
use super::doors::{Addresses, Doors, offered, watched};
use super::figures::Figures;
use super::hand_over::{Before, Inherited, Offer, Successor, TakeOverError};
use super::reload::{self, Reloads};
use super::{Gateway, background, watch};
use crate::admin::{self, Admin, Token};
use crate::bad_rows::BadRows;
use crate::catalog::store::{Current, Store};
use crate::catalog::{Catalog, check, write};
use crate::clock::{Clock, SystemClock};
use crate::core::metrics::CoreMetrics;
use crate::core::{Core, CoreSettings, Parts, Progress};
use crate::cursors::activation::ActivationCursor;
use crate::cursors::kafka::{self, KafkaSink};
use crate::document::Document;
use crate::edge::{self, Edge, EdgeMetrics, Listeners, RuntimeCatalog};
use crate::recent::RecentOutcomes;
use crate::settings::load::Origin;
use crate::settings::{Ack, Settings};
use crate::telemetry::traces::{Export, ExportError, TraceMetrics, Traces};

/// Bytes of one journal record; an event is bounded far below it.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Block cache of the store: rows are read once, when a visitor comes back.
const STORE_CACHE_BYTES: u64 = 16 << 20;

/// How often a lock is tried that a process is about to let go.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error("cannot use the data directory {path}: {error}; name another with --data-dir DIR")]
    DataDir {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The process before.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// The journal.
    #[error("cannot open the journal: {0}")]
    Journal(#[from] tidegate_journal::OpenError),
    /// The database of profiles and outbox.
    #[error("cannot open the profile store in {path}: {error}")]
    Store {
        /// Its directory.
        path: PathBuf,
        /// What it says.
        error: fjall::Error,
    },
    /// The catalog's store.
    #[error("cannot open the catalog's store: {0}")]
    CatalogStore(#[from] crate::catalog::store::StoreError),
    /// The catalog file.
    #[error("cannot read the catalog {path}: {error}; see `catalog` in the settings")]
    CatalogFile {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A catalog with mistakes.
    #[error("{0}")]
    Catalog(#[from] crate::catalog::store::ApplyError),
    /// The state.
    #[error(transparent)]
    State(#[from] crate::core::OpenError),
    /// A GeoIP database.
    #[error(transparent)]
    Geo(#[from] crate::geo::GeoError),
    /// Activation.
    #[error("cannot start activation: {0}")]
    Activation(#[from] tidegate_activation::OpenError),
    /// Its destinations.
    #[error("cannot start activation: {0}")]
    Destinations(#[from] tidegate_activation::ApplyError),
    /// A cursor.
    #[error(transparent)]
    ActivationCursor(#[from] crate::cursors::activation::StartError),
    /// The Kafka sink.
    #[error("cannot start forwarding to Kafka: {0}")]
    Kafka(#[from] kafka::StartError),
    /// A listener of the edge.
    #[error(transparent)]
    Bind(#[from] edge::BindError),
    /// Or the runtime cannot watch its socket.
    #[error("cannot watch the edge's sockets: {0}")]
    Sockets(std::io::Error),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] edge::TlsError),
    /// Traces.
    #[error(transparent)]
    Traces(#[from] ExportError),
    /// A listener.
    #[error("cannot listen on {address} ({key}): {error}; is another gateway running?")]
    Listen {
        /// Setting that names it.
        key: &'static str,
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The admin token.
    #[error(transparent)]
    Token(#[from] admin::TokenError),
    /// The files of `[admin.tls]`.
    #[error(transparent)]
    AdminTls(#[from] admin::TlsError),
    /// `admin.listen` is reachable from elsewhere and has no token.
    #[error("admin.listen = {0} is not loopback: set admin.token_file or admin.tls.client_ca")]
    TokenMissing(SocketAddr),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl StartError {
    /// True where another process still holds a lock.
    const fn is_locked(&self) -> bool {
        use tidegate_journal::OpenError;
        matches!(
            self,
            Self::Journal(OpenError::Locked { .. })
                | Self::Store {
                    error: fjall::Error::Locked,
                    ..
                }
        )
    }
}

/// What a gateway is started with.
#[derive(Debug, Default)]
pub struct Launch {
    /// What it is told.
    pub settings: Settings,
    /// Where that comes from, to be read again on reload; None where it was made up in this process.
    pub origin: Option<Origin>,
    /// Applied in place of the configured file.
    pub catalog: Option<Catalog>,
    /// Sockets that are open already.
    pub inherited: Inherited,
    /// The process before, which has to end first.
    pub before: Before,
}

impl Gateway {
    /// Starts a gateway and announces its addresses in `addresses.json` of the data directory.
    ///
    /// # Errors
    /// [`StartError`]
    #[expect(clippy::too_many_lines, reason = "the wiring, read from top to bottom")]
    pub async fn start(launch: Launch) -> Result<Self, StartError> {
        let Launch {
            settings,
            origin,
            catalog,
            mut inherited,
            before,
        } = launch;
        let tls = settings.admin.tls.as_ref();
        let admin_tls = tls.map(admin::tls::acceptor).transpose()?;
        let clock: Arc<SystemClock> = Arc::new(SystemClock::default());
        let mut registry = Registry::default();
        let core_settings = core_settings(&settings);
        let evaluators = core_settings.evaluators;
        let Ahead {
            token,
            geo,
            doors,
            compiled,
            lock_patience,
            relieved_at_us,
        } = Ahead::start(&settings, evaluators, before, &clock, || {
            Doors::open(&settings, &mut inherited, &clock, &mut registry)
        })
        .await?;
        let journal = once_free(lock_patience, || open_journal(&settings)).await?;
        let store = Store::open(&settings.data_dir)?;
        first_catalog(&store, &settings, catalog.as_ref(), clock.now())?;
        let current = store.current()?;
        let database = once_free(lock_patience, || open_database(&settings.data_dir)).await?;
        let parts = Parts {
            journal: journal.clone(),
            database: database.clone(),
            settings: core_settings,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            mint: Arc::new(mint),
            catalog: current.catalog.clone(),
            generation: current.generation,
            compiled,
            metrics: CoreMetrics::register(&mut registry),
        };
        let core = Core::open(parts, report)?;
        record_catalog(&store, &core, &current).await?;
        let activation = open_activation(&settings, database, &clock)?;
        let (traces, export) = open_traces(&settings, &clock, &mut registry)?.unzip();
        if let Some(traces) = &traces {
            activation.observed_by(Arc::new(traces.clone()));
        }
        let configs: Vec<_> = current
            .catalog
            .destinations
            .iter()
            .map(check::config)
            .collect();
        activation.set_destinations(&configs)?;
        let bad_rows = BadRows::start(
            &settings.data_dir.join("bad-rows"),
            &settings.bad_rows,
            &mut registry,
        )
        .map_err(StartError::Thread)?;
        let sources = Arc::new(ArcSwap::from_pointee(RuntimeCatalog::new(&current.catalog)));
        let catalogs = Arc::new(Catalogs::new(
            store,
            core.clone(),
            activation.clone(),
            Arc::clone(&sources),
            settings.activation.allow_private.clone(),
            Arc::clone(&clock) as Arc<dyn Clock>,
        ));
        let activation_cursor = ActivationCursor::start(&journal, &activation, Handle::current())?;
        let kafka = start_kafka(&settings, &journal, &clock, &core, &mut registry)?;
        let budget = settings.journal.disk_budget;
        let figures =
            Figures::register(&mut registry, &core, &activation, &bad_rows, &clock, budget);
        let (stop, stopping) = channel(false);

        let doors = match doors {
            Some(open) => open,
            None => Doors::open(&settings, &mut inherited, &clock, &mut registry)?,
        };
        let Doors {
            sockets,
            admin: admin_listener,
            tls,
        } = doors;
        let addresses = Addresses::of(&sockets)?;
        let offered = offered(&sockets, &admin_listener);
        let certificates = tls.as_ref().map(|tls| Arc::clone(tls.certificates()));
        let acme = tls.as_ref().and_then(|tls| tls.acme().cloned());
        let listeners = Listeners::new(sockets, tls, &settings.edge.h3);
        let listeners = listeners.map_err(StartError::Sockets)?;
        let (admin_listener, admin_addr) = watched(admin_listener)?;
        let mut edge = Edge::new(
            &settings,
            sources,
            core.clone(),
            Arc::clone(&geo),
            Arc::clone(&clock) as Arc<dyn Clock>,
            EdgeMetrics::register(&mut registry),
            bad_rows.clone(),
        );
        if let Some(quic) = addresses.quic {
            edge = edge.advertising_http3(quic.port(), &settings);
        }
        let told = &settings.telemetry;
        let recent = RecentOutcomes::new(told.outcomes_max, told.outcomes_sample);
        let edge = Arc::new(edge.remembering(recent.clone()).tracing(traces));
        let timer_rate = Arc::new(AtomicU32::new(settings.timers.rate_max));
        let parts = reload::Parts {
            origin,
            settings: settings.clone(),
            catalogs: Arc::clone(&catalogs),
            edge: Arc::clone(&edge),
            geo,
            certificates: certificates.clone(),
            timer_rate: Arc::clone(&timer_rate),
            recent: recent.clone(),
        };
        let pause = hand_over_pause(&mut registry);
        let reloads = Arc::new(Reloads::new(parts, &mut registry));
        let draining = Arc::new(AtomicBool::new(false));
        let control = AppControl {
            core: core.clone(),
            catalogs: Arc::clone(&catalogs),
            activation: activation.clone(),
            bad_rows: bad_rows.clone(),
            figures,
            reloads: Arc::clone(&reloads),
            draining: Arc::clone(&draining),
            recent,
        };
        let admin = Arc::new(Admin::new(
            control,
            Arc::new(registry),
            token,
            settings.admin.clone(),
        ));
        let mut background = background::spawn(
            &core,
            &bad_rows,
            certificates,
            acme,
            &settings,
            &timer_rate,
            &stopping,
        );
        let watch = watch::watch(Arc::clone(&reloads), stopping.clone());
        background.push(tokio::spawn(watch));
        if let Some(export) = export {
            background.push(tokio::spawn(export.run(stopping.clone())));
        }
        let (offer, successors) = offer(&settings.data_dir, offered);
        let gateway = Self {
            background,
            edge_task: tokio::spawn(listeners.serve(Arc::clone(&edge), stopped(stopping.clone()))),
            admin_task: tokio::spawn(admin::serve(
                admin_listener,
                admin_tls,
                admin,
                stopped(stopping),
            )),
            core,
            catalogs,
            reloads,
            draining,
            successors: tokio::sync::Mutex::new(successors),
            offer,
            edge,
            activation,
            activation_cursor: Some(activation_cursor),
            kafka,
            http: addresses.http,
            https: addresses.https,
            admin: admin_addr,
            stop,
        };
        announce(&settings.data_dir, addresses, admin_addr)?;
        if let Some(relieved_at_us) = relieved_at_us {
            let pause_us = clock.monotonic_us().saturating_sub(relieved_at_us);
            pause.set(Duration::from_micros(pause_us).as_secs_f64());
            tracing::info!(
                pause_ms = pause_us / 1_000,
                "took over; new connections waited so long"
            );
        }
        Ok(gateway)
    }
}

/// A random 128-bit id that nobody can guess: cookie and profile ids stand for people.
fn mint() -> u128 {
    thread_local! {
        static RANDOM: RefCell<StdRng> = RefCell::new(StdRng::from_os_rng());
    }
    RANDOM.with_borrow_mut(Rng::random)
}

async fn stopped(mut stopping: Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

pub(super) fn token(settings: &Settings) -> Result<Option<Token>, StartError> {
    match &settings.admin.token_file {
        Some(path) => Ok(Some(Token::load(path)?)),
        None if settings.admin.listen.ip().is_loopback() || settings.admin.is_mutual() => Ok(None),
        None => Err(StartError::TokenMissing(settings.admin.listen)),
    }
}

fn open_journal(settings: &Settings) -> Result<Journal, StartError> {
    let error = |error| StartError::DataDir {
        path: settings.data_dir.clone(),
        error,
    };
    std::fs::create_dir_all(&settings.data_dir).map_err(error)?;
    let journal = tidegate_journal::Settings {
        segment_bytes: settings.journal.segment_bytes,
        disk_budget: settings.journal.disk_budget,
        retention_ms: settings.journal.retention_ms,
        record_bytes_max: RECORD_BYTES_MAX,
        ..tidegate_journal::Settings::default()
    };
    Ok(Journal::open(
        &settings.data_dir,
        Arc::new(RealStorage),
        journal,
    )?)
}

fn open_database(data_dir: &Path) -> Result<Database, StartError> {
    let path = data_dir.join("state");
    Database::builder(&path)
        .cache_size(STORE_CACHE_BYTES)
        .open()
        .map_err(|error| StartError::Store { path, error })
}

/// Applies the given, else the configured, else the built-in catalog, where it is not the last one
/// that was applied.
fn first_catalog(
    store: &Store,
    settings: &Settings,
    given: Option<&Catalog>,
    now: tidegate_event::Timestamp,
) -> Result<(), StartError> {
    let (name, text) = match (given, &settings.catalog) {
        (Some(catalog), _) => ("catalog".to_owned(), write::toml(catalog)),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| StartError::CatalogFile {
                path: path.clone(),
                error,
            })?;
            (path.display().to_string(), text)
        }
        (None, None) if store.current()?.generation == 0 => (
            "the built-in catalog".to_owned(),
            crate::catalog::default::TEXT.to_owned(),
        ),
        (None, None) => return Ok(()),
    };
    if !store.is_last_applied(&text)? {
        let document = Document::parse(&name, &text);
        store.apply(&document, Some(&settings.activation.allow_private), now)?;
    }
    Ok(())
}

/// Journals the catalog in force where its record is not known to be there: it is new, or a kill
/// came between its commit to the store and its record.
async fn record_catalog(store: &Store, core: &Core, current: &Current) -> Result<(), StartError> {
    let journal = core.journal().id();
    if store.is_recorded(journal, current.generation)? {
        return Ok(());
    }
    let recorded = core.record_catalog(current.generation, &current.digest);
    // A journal that fails this early ends the process by itself.
    if recorded.await.is_ok() {
        store.mark_recorded(journal, current.generation)?;
    }
    Ok(())
}

fn core_settings(settings: &Settings) -> CoreSettings {
    CoreSettings {
        record_bytes_max: RECORD_BYTES_MAX,
        traits_bytes_max: settings.profiles.traits_bytes_max,
        identifiers_max: settings.profiles.identifiers_max,
        merges_per_hour_max: settings.profiles.merges_per_hour_max,
        live_max: settings.profiles.live_max,
        lag_records: settings.checkpoint.lag_records,
        disk_budget: settings.journal.disk_budget,
        dedup_window_ms: settings.dedup.window_ms,
        dedup_entries_max: settings.dedup.entries_max,
        ack_timeout_ms: settings.edge.ack_timeout_ms,
        evaluators: Handle::current().metrics().num_workers() + 1,
    }
}

fn open_activation(
    settings: &Settings,
    database: Database,
    clock: &Arc<SystemClock>,
) -> Result<Activation, StartError> {
    let outbox = tidegate_activation::Settings {
        allow_private: check::networks(&settings.activation.allow_private),
        outbox_rows_max: u64::try_from(settings.activation.outbox_rows_max).unwrap_or(u64::MAX),
        dead_letters_max: u64::try_from(settings.activation.dead_letters_max).unwrap_or(u64::MAX),
        ..tidegate_activation::Settings::default()
    };
    let clock = Arc::clone(clock) as Arc<dyn tidegate_activation::Clock>;
    Ok(Activation::open(database, clock, outbox)?)
}

fn start_kafka(
    settings: &Settings,
    journal: &Journal,
    clock: &Arc<SystemClock>,
    core: &Core,
    registry: &mut Registry,
) -> Result<Option<KafkaSink>, StartError> {
    let Some(kafka) = &settings.kafka else {
        return Ok(None);
    };
    let sink = KafkaSink::start(
        kafka.clone(),
        &settings.data_dir,
        journal,
        Arc::clone(clock) as Arc<dyn Clock>,
        kafka::Metrics::register(registry),
        Handle::current(),
    )?;
    if settings.edge.ack == Ack::Kafka {
        core.acknowledge_by(sink.acked());
    }
    Ok(Some(sink))
}

/// What traces requests and what sends their spans, where they are asked for.
fn open_traces(
    settings: &Settings,
    clock: &Arc<SystemClock>,
    registry: &mut Registry,
) -> Result<Option<(Traces, Export)>, StartError> {
    let metrics = TraceMetrics::register(registry);
    let otlp = &settings.telemetry.otlp;
    let Some(endpoint) = &otlp.endpoint else {
        return Ok(None);
    };
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Ok(Some(Traces::new(otlp, endpoint, clock, metrics)?))
}

/// Offers the sockets; a gateway that cannot have all of them twice, or whose directory takes no
/// unix socket, goes without.
fn offer(
    data_dir: &Path,
    sockets: std::io::Result<Vec<(&'static str, OwnedFd)>>,
) -> (Option<JoinHandle<()>>, mpsc::Receiver<Successor>) {
    let (taken, successors) = mpsc::channel(1);
    match sockets.and_then(|sockets| Offer::new(data_dir, sockets)) {
        Ok(offer) => (Some(tokio::spawn(offer.serve(taken))), successors),
        Err(error) => {
            tracing::warn!(%error, "no hand-over on the next restart: cannot offer the sockets");
            (None, successors)
        }
    }
}

/// Opens what another process may still hold, where it is about to let go.
async fn once_free<T>(
    patience: Duration,
    open: impl Fn() -> Result<T, StartError>,
) -> Result<T, StartError> {
    let mut tries = patience.as_millis() / LOCK_PAUSE.as_millis();
    loop {
        match open() {
            Err(error) if tries > 0 && error.is_locked() => tries -= 1,
            opened => return opened,
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

fn hand_over_pause(registry: &mut Registry) -> Gauge<f64, AtomicU64> {
    let pause = Gauge::<f64, AtomicU64>::default();
    registry.register(
        "tidegate_handover_pause_seconds",
        "How long new connections waited when this process took over; 0 where it did not",
        pause.clone(),
    );
    pause
}

fn report(progress: Progress) {
    tracing::info!(
        done = progress.done,
        total = progress.total,
        "replaying the journal"
    );
}

/// Written last: who finds it can connect. Replaced atomically.
fn announce(data_dir: &Path, edge: Addresses, admin: SocketAddr) -> Result<(), StartError> {
    let Addresses { http, https, quic } = edge;
    let secure = https.map_or(String::new(), |https| format!(",\"https\":\"{https}\""));
    let write = || -> std::io::Result<()> {
        let next = data_dir.join("addresses.json.next");
        let mut file = std::fs::File::create(&next)?;
        writeln!(
            file,
            "{{\"http\":\"{http}\"{secure},\"admin\":\"{admin}\"}}"
        )?;
        std::fs::rename(next, data_dir.join("addresses.json"))
    };
    write().map_err(|error| StartError::DataDir {
        path: data_dir.to_owned(),
        error,
    })?;
    let https = https.map(tracing::field::display);
    tracing::info!(%http, https, http3 = quic.is_some(), %admin, "ready");
    Ok(())
}
