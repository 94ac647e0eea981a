//! Work before the data directory is locked. It shortens the take-over, and a start that fails here
//! leaves the old process running.

use std::sync::Arc;
use std::time::Duration;

use super::bound::Bound;
use super::hand_over::Before;
use super::lookups::LoadingDevices;
use super::start::{StartError, blocking};
use crate::admin::{Token, auth};
use crate::catalog::store::{ConfiguredFile, Prepared, Store};
use crate::clock::{Clock, SystemClock};
use crate::core::Compiled;
use crate::cursors::kafka;
use crate::document::Document;
use crate::geo::GeoDatabases;
use crate::settings::Settings;

/// Added to our own deadline while we wait for the end of the process before: it has its own.
const END_MARGIN: Duration = Duration::from_secs(10);

/// What is ready before the data directory is ours.
pub(super) struct Ahead {
    pub(super) token: Option<Token>,
    pub(super) geo: Arc<GeoDatabases>,
    pub(super) devices: LoadingDevices,
    /// Open already where there is a process before.
    pub(super) bound: Option<Bound>,
    /// The rules of the catalog that will be in force, where there was time to compile them.
    pub(super) compiled: Option<Compiled>,
    /// How long another process may still hold the directory's locks.
    pub(super) lock_patience: Duration,
    /// When the process before was asked to end, microseconds on the monotonic clock.
    pub(super) handed_over_at_us: Option<u64>,
}

impl Ahead {
    /// Reads, opens and compiles; then tells the process before to end, and waits until it has.
    pub(super) async fn start(
        settings: &Settings,
        evaluators: usize,
        before: Before,
        clock: &SystemClock,
        bind: impl FnOnce() -> Result<Bound, StartError>,
    ) -> Result<Self, StartError> {
        let token_file = settings.admin.token_file.as_deref();
        let token = token_file.map(Token::load).transpose()?;
        if let Some(path) = token_file.filter(|path| auth::is_plain(path)) {
            tracing::warn!(
                path = %path.display(),
                remedy = auth::HASH,
                "admin.token_file holds the token itself: who reads it, or a backup of it, has it"
            );
        }
        let devices = LoadingDevices::start(&settings.user_agents);
        let geo = Arc::new(GeoDatabases::load(&settings.geoip)?);
        let alone = |devices, lock_patience| Self {
            token: token.clone(),
            geo: Arc::clone(&geo),
            devices,
            bound: None,
            compiled: None,
            lock_patience,
            handed_over_at_us: None,
        };
        let patience = end_patience(settings);
        let predecessor = match before {
            Before::NotAsked => return Ok(alone(devices, Duration::ZERO)),
            Before::Silent => {
                tracing::info!("no gateway to take over from; one that is ending is waited for");
                return Ok(alone(devices, patience));
            }
            Before::Runs(predecessor) => predecessor,
        };
        let bound = Some(bind()?);
        if let Some(settings) = &settings.kafka {
            kafka::check(settings).map_err(kafka::StartError::from)?;
        }
        let compiled = Some(compile(settings, evaluators)?);
        let devices = devices.checked().await?;
        tracing::info!("prepared; the process before may end");
        let handed_over_at_us = Some(clock.monotonic_us());
        blocking(move || predecessor.hand_over(patience, still_runs)).await?;
        Ok(Self {
            token,
            geo,
            devices,
            bound,
            compiled,
            // It may hold its locks a moment longer, and until its end where it was ending by itself.
            lock_patience: patience,
            handed_over_at_us,
        })
    }
}

/// The process before has agreed to end, and has not.
fn still_runs(waited: Duration) {
    tracing::warn!(
        waited_s = waited.as_secs(),
        "the process before stopped serving and has not ended; this one starts once it has. Look at its log and its \
         disk; end it with SIGKILL if it hangs: what it acknowledged is in the journal"
    );
}

/// How long the end of the process before takes at most, unless it hangs.
const fn end_patience(settings: &Settings) -> Duration {
    Duration::from_millis(settings.drain.deadline_ms).saturating_add(END_MARGIN)
}

/// The rules that the start will run by: of the catalog file where it changed, else of the catalog
/// in force. Where that changes meanwhile, the start compiles again.
fn compile(settings: &Settings, evaluators: usize) -> Result<Compiled, StartError> {
    // The process before still runs, and this one may yet be refused: nothing is written.
    let store = Store::open_to_read(&settings.data_dir)?;
    let (catalog, generation) = match changed_catalog(settings, &store)? {
        Some(changed) => (changed.catalog, changed.applied.generation),
        None => {
            let current = store.current()?;
            (current.catalog, current.generation)
        }
    };
    Ok(Compiled::new(&catalog, generation, evaluators)?)
}

/// The catalog file, checked, where it changed since it was last taken.
fn changed_catalog(settings: &Settings, store: &Store) -> Result<Option<Prepared>, StartError> {
    let Some(path) = &settings.catalog else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path).map_err(|error| StartError::CatalogFile {
        path: path.clone(),
        error,
    })?;
    if store.configured_file(&text)? != ConfiguredFile::Changed {
        return Ok(None);
    }
    let document = Document::parse(&path.display().to_string(), &text);
    let allowed = Some(settings.activation.allow_private.as_slice());
    Ok(Some(store.prepare(&document, allowed)?))
}
