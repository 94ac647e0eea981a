//! Opens all that is at rest in the data directory, in the order of the flow, and what reads it.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fjall::Database;
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_activation::Activation;
use tidegate_journal::Journal;
use tidegate_journal::storage::RealStorage;
use tokio::runtime::Handle;

use super::StartError;
use crate::catalog::store::{Current, Store};
use crate::catalog::{Catalog, check, write};
use crate::clock::{Clock, SystemClock};
use crate::core::{Core, CoreSettings, Progress};
use crate::cursors::kafka::{self, KafkaSink};
use crate::document::Document;
use crate::settings::{Ack, Settings};
use crate::telemetry::traces::{Export, TraceMetrics, Traces};

/// Bytes of one journal record; an event is bounded far below it.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Block cache of the store: rows are read once, when a visitor comes back.
const STORE_CACHE_BYTES: u64 = 16 << 20;

/// How often a lock is tried that a process is about to let go.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

pub(super) fn open_journal(settings: &Settings) -> Result<Journal, StartError> {
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

pub(super) fn open_database(data_dir: &Path) -> Result<Database, StartError> {
    let path = data_dir.join("state");
    Database::builder(&path)
        .cache_size(STORE_CACHE_BYTES)
        .open()
        .map_err(|error| StartError::Store { path, error })
}

/// Applies the given, else the configured, else the built-in catalog, where it is not the last one
/// that was applied.
pub(super) fn first_catalog(
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
pub(super) async fn record_catalog(
    store: &Store,
    core: &Core,
    current: &Current,
) -> Result<(), StartError> {
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

pub(super) fn core_settings(settings: &Settings) -> CoreSettings {
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

pub(super) fn open_activation(
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

pub(super) fn start_kafka(
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
pub(super) fn open_traces(
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

/// Opens what another process may still hold, where it is about to let go.
pub(super) async fn once_free<T>(
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

/// A random 128-bit id that nobody can guess: cookie and profile ids stand for people.
pub(super) fn mint() -> u128 {
    thread_local! {
        static RANDOM: RefCell<StdRng> = RefCell::new(StdRng::from_os_rng());
    }
    RANDOM.with_borrow_mut(Rng::random)
}

pub(super) fn report(progress: Progress) {
    tracing::info!(
        done = progress.done,
        total = progress.total,
        "replaying the journal"
    );
}
