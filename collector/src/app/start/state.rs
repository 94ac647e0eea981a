//! Opens all that is at rest in the data directory, in the order of the flow, and what reads it.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fjall::Database;
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_activation::Activation;
use tidegate_journal::Journal;
use tidegate_journal::storage::RealStorage;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::StartError;
use crate::admin::Replay;
use crate::app::catalogs::{self, Catalogs, ROOM_PATIENCE};
use crate::app::charges;
use crate::app::open_files::OpenFiles;
use crate::bad_rows::{self, BadRows};
use crate::catalog::store::{ConfiguredFile, Current, Store};
use crate::catalog::{Catalog, caution, destination, write};
use crate::clock::{Clock, GatewayClock};
use crate::core::metrics::CoreMetrics;
use crate::core::{Compiled, Core, CoreSettings, Parts, Progress};
use crate::cursors::activation::ActivationCursor;
use crate::cursors::kafka::{self, KafkaSink};
use crate::cursors::source::Source;
use crate::document::Document;
use crate::edge::RuntimeCatalog;
use crate::formats;
use crate::liveness::{Liveness, spawn};
use crate::settings::{Ack, Settings};
use crate::telemetry::traces::{Export, TraceMetrics, Traces};
use crate::unreadable::{Consumer, Unreadable};

/// Bytes of one journal record; an event is bounded far below it.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Block cache of the store: rows are read once, when a visitor comes back.
const STORE_CACHE_BYTES: u64 = 16 << 20;

/// Delay between two tries for a lock that another process is about to release.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// How long a cursor's thread may work between two waits: a batch, with the syncs of its sink.
const CURSOR_BOUND: Duration = Duration::from_secs(60);
/// Of a part that only waits as far as its pulse says: its end is seen, not how long it works.
const WAITS_OUTSIDE: Duration = Duration::from_secs(60);

/// What is open once the state is what it was before the last stop or kill.
pub(super) struct State {
    pub(super) core: Core,
    pub(super) catalogs: Arc<Catalogs>,
    pub(super) sources: Arc<ArcSwap<RuntimeCatalog>>,
    pub(super) activation: Activation,
    pub(super) activation_cursor: ActivationCursor,
    pub(super) bad_rows: BadRows,
    pub(super) kafka: Option<KafkaSink>,
    /// What traces requests and what sends their spans, where they are asked for.
    pub(super) traces: Option<(Traces, Export)>,
}

/// The data directory before it is opened.
pub(super) struct AtRest<'s> {
    pub(super) settings: &'s Settings,
    pub(super) clock: &'s Arc<GatewayClock>,
    pub(super) liveness: &'s Liveness,
    /// How long another process may still hold its locks.
    pub(super) lock_patience: Duration,
    pub(super) open_files: OpenFiles,
    /// Where the progress of the replay is reported.
    pub(super) replay: Replay,
    /// Called with each report, for tests.
    #[cfg(test)]
    pub(super) replaying: Option<fn(Progress)>,
}

impl AtRest<'_> {
    /// Opens it all, each part once what it reads is there.
    pub(super) async fn open(
        &self,
        catalog: Option<&Catalog>,
        compiled: Option<Compiled>,
        registry: &mut Registry,
    ) -> Result<State, StartError> {
        let settings = self.settings;
        let opened = settings.clone();
        let journal = once_free(self.lock_patience, move || journal(&opened)).await?;
        let (data_dir, open_files) = (settings.data_dir.clone(), self.open_files);
        let database = move || database(&data_dir, open_files);
        let database = once_free(self.lock_patience, database).await?;
        formats::check_database(&database)?;
        // Once more, now that no other process can write: one may have, since the first check.
        formats::check(&settings.data_dir)?;
        // All of it can be read. From here on it is written in this build's formats.
        formats::raise(&settings.data_dir)?;
        let store = Store::open(&settings.data_dir)?;
        let current = self.in_force(&store, catalog)?;
        let unreadable = Unreadable::new(&settings.data_dir, registry);
        let stored = (journal.clone(), database.clone());
        let parts = self.parts(stored, &current, compiled, unreadable.clone(), registry);
        let report = self.report();
        let core = blocking(move || Core::open(parts, report)).await?;
        record_catalog(&store, &core, &current).await?;
        let activation = self.activation(database)?;
        self.liveness.include(activation.pulses());
        let traces = self.traces(registry)?;
        if let Some((traces, _)) = &traces {
            activation.observed_by(Arc::new(traces.clone()));
        }
        let in_flight_max = self.open_files.destinations(settings);
        let configs = destination::configs(&current.catalog.destinations, in_flight_max);
        activation.set_destinations(&configs)?;
        let bad_rows = self.bad_rows(registry)?;
        let sources = Arc::new(ArcSwap::from_pointee(RuntimeCatalog::new(&current.catalog)));
        let catalogs = Arc::new(Catalogs::new(
            store,
            core.clone(),
            activation.clone(),
            Arc::clone(&sources),
            settings.activation.allow_private.clone(),
            in_flight_max,
            self.clock(),
        ));
        let source = |consumer| Source::new(journal.clone(), unreadable.clone(), consumer);
        let activation_cursor = ActivationCursor::start(
            source(Consumer::Activation),
            &activation,
            Handle::current(),
            self.liveness.register("activation-cursor", CURSOR_BOUND),
        )?;
        let kafka = self.kafka(source(Consumer::Kafka), &core, registry)?;
        Ok(State {
            core,
            catalogs,
            sources,
            activation,
            activation_cursor,
            bad_rows,
            kafka,
            traces,
        })
    }

    fn parts(
        &self,
        (journal, database): (Journal, Database),
        current: &Current,
        compiled: Option<Compiled>,
        unreadable: Unreadable,
        registry: &mut Registry,
    ) -> Parts {
        Parts {
            journal,
            database,
            settings: core_settings(self.settings),
            clock: self.clock(),
            mint: Arc::new(mint),
            catalog: current.catalog.clone(),
            generation: current.generation,
            compiled,
            metrics: CoreMetrics::register(registry),
            unreadable,
        }
    }

    fn bad_rows(&self, registry: &mut Registry) -> Result<BadRows, StartError> {
        let dir = self.settings.data_dir.join(bad_rows::DIR);
        let pulse = self.liveness.register("bad-rows", WAITS_OUTSIDE);
        let started = BadRows::start(&dir, &self.settings.bad_rows, registry, pulse);
        started.map_err(StartError::Thread)
    }

    /// Shows how far the replay is, to probes and in the log.
    fn report(&self) -> impl FnMut(Progress) + Send + 'static {
        let replay = self.replay.clone();
        #[cfg(test)]
        let replaying = self.replaying;
        move |progress| {
            replay.set(progress.done, progress.total);
            tracing::info!(
                done = progress.done,
                total = progress.total,
                "replaying the journal"
            );
            #[cfg(test)]
            if let Some(replaying) = replaying {
                replaying(progress);
            }
        }
    }

    /// The catalog to start with, after a warning of what is published in it.
    fn in_force(&self, store: &Store, given: Option<&Catalog>) -> Result<Current, StartError> {
        self.apply_first(store, given)?;
        let current = store.current()?;
        caution::warn(&current.catalog.sources, &current.catalog.destinations);
        Ok(current)
    }

    /// Applies the given, else the configured, else the built-in catalog, where it changed since it
    /// was last taken: what was applied over it stays.
    fn apply_first(&self, store: &Store, given: Option<&Catalog>) -> Result<(), StartError> {
        let settings = self.settings;
        let (name, text) = match (given, &settings.catalog) {
            (Some(catalog), _) => ("catalog".to_owned(), write::toml(catalog)),
            (None, Some(path)) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| StartError::CatalogFile {
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
        match store.configured_file(&text)? {
            ConfiguredFile::InForce => store.mark_configured(&text)?,
            ConfiguredFile::Overridden => catalogs::say_overridden(&name, &store.current()?),
            ConfiguredFile::Changed => {
                let document = Document::parse(&name, &text);
                let private = &settings.activation.allow_private;
                let prepared = store.prepare(&document, Some(private))?;
                store.commit(&prepared.of_configured_file(), self.clock.now())?;
            }
        }
        Ok(())
    }

    fn activation(&self, database: Database) -> Result<Activation, StartError> {
        let settings = &self.settings.activation;
        let outbox = tidegate_activation::Settings {
            allow_private: destination::networks(&settings.allow_private),
            outbox_rows_max: u64::try_from(settings.outbox_rows_max).unwrap_or(u64::MAX),
            destination_rows_max: u64::try_from(settings.destination_rows()).unwrap_or(u64::MAX),
            dead_letters_max: u64::try_from(settings.dead_letters_max).unwrap_or(u64::MAX),
            dead_letters_max_age_ms: settings.dead_letters_max_age_ms,
            idle_connections_max: self.open_files.idle(self.settings),
            ..tidegate_activation::Settings::default()
        };
        let clock = Arc::clone(self.clock) as Arc<dyn tidegate_activation::Clock>;
        Ok(Activation::open(database, clock, outbox)?)
    }

    fn kafka(
        &self,
        source: Source,
        core: &Core,
        registry: &mut Registry,
    ) -> Result<Option<KafkaSink>, StartError> {
        let settings = self.settings;
        let Some(kafka) = &settings.kafka else {
            return Ok(None);
        };
        let sink = KafkaSink::start(
            kafka.clone(),
            &settings.data_dir,
            source,
            self.clock(),
            kafka::Metrics::register(registry),
            Handle::current(),
            self.liveness.register("kafka-cursor", CURSOR_BOUND),
        )?;
        if settings.edge.ack == Ack::Kafka {
            core.acknowledge_by(sink.acked());
        }
        Ok(Some(sink))
    }

    fn traces(&self, registry: &mut Registry) -> Result<Option<(Traces, Export)>, StartError> {
        let metrics = TraceMetrics::register(registry);
        let otlp = &self.settings.telemetry.otlp;
        let Some(endpoint) = &otlp.endpoint else {
            return Ok(None);
        };
        Ok(Some(Traces::new(otlp, endpoint, self.clock(), metrics)?))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(self.clock) as Arc<dyn Clock>
    }
}

/// Opens what another process may still hold. Tries again for `patience`.
async fn once_free<T: Send + 'static>(
    patience: Duration,
    open: impl Fn() -> Result<T, StartError> + Send + Sync + 'static,
) -> Result<T, StartError> {
    let open = Arc::new(open);
    let mut tries = patience.as_millis() / LOCK_PAUSE.as_millis();
    loop {
        let open = Arc::clone(&open);
        match blocking(move || open()).await {
            Err(error) if tries > 0 && error.is_locked() => tries -= 1,
            opened => return opened,
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

/// Long work on a thread that may block: the worker threads answer probes meanwhile.
pub(in crate::app) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    match spawn::blocking(work).await {
        Some(done) => done,
        // The runtime ends, and this with it.
        None => std::future::pending().await,
    }
}

/// Opens the journal, in a directory that is made where it is missing.
fn journal(settings: &Settings) -> Result<Journal, StartError> {
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
        charges: charges::before_opening(&settings.data_dir),
        ..tidegate_journal::Settings::default()
    };
    Ok(Journal::open(
        &settings.data_dir,
        Arc::new(RealStorage),
        journal,
    )?)
}

/// Opens the database of profiles and outbox.
pub(in crate::app) fn database(
    data_dir: &Path,
    open_files: OpenFiles,
) -> Result<Database, StartError> {
    let path = data_dir.join("state");
    Database::builder(&path)
        .cache_size(STORE_CACHE_BYTES)
        .max_cached_files(Some(open_files.store()))
        .open()
        .map_err(|error| StartError::Store { path, error })
}

/// Journals the catalog in force where its record is not known to be there: it is new, or a kill
/// came between its commit to the store and its record.
async fn record_catalog(store: &Store, core: &Core, current: &Current) -> Result<(), StartError> {
    let journal = core.journal().id();
    if store.is_recorded(journal, current.generation)? {
        return Ok(());
    }
    let recorded = core.record_catalog(current.generation, &current.digest);
    match timeout(ROOM_PATIENCE, recorded).await {
        Ok(Ok(())) => store.mark_recorded(journal, current.generation)?,
        // It ends the process by itself.
        Ok(Err(_failed)) => {}
        // Only what is started makes room in a full journal: that must not wait for it.
        Err(_elapsed) => {
            tracing::warn!("no room in the journal: the next start records this catalog");
        }
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
        retention_ms: settings.profiles.retention_ms,
        disk_max: settings.profiles.disk_max,
        lag_records: settings.checkpoint.lag_records,
        disk_budget: settings.journal.disk_budget,
        dedup_window_ms: settings.dedup.window_ms,
        dedup_entries_max: settings.dedup.entries_max,
        ack_timeout_ms: settings.edge.ack_timeout_ms,
        evaluators: evaluators(),
    }
}

/// One for each worker thread, and one for the timers.
pub(super) fn evaluators() -> usize {
    Handle::current().metrics().num_workers() + 1
}

/// A random 128-bit id that cannot be guessed: cookie and profile ids stand for people.
fn mint() -> u128 {
    thread_local! {
        static RANDOM: RefCell<StdRng> = RefCell::new(StdRng::from_os_rng());
    }
    RANDOM.with_borrow_mut(Rng::random)
}
