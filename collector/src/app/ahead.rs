//! What a start does before it needs the data directory: where another process still holds it, all
//! that can be slow or wrong is done first, so that the change-over is short.

use std::sync::Arc;
use std::time::Duration;

use super::hand_over::{Predecessor, TakeOverError};
use super::start::StartError;
use crate::admin::Token;
use crate::catalog::store::Store;
use crate::clock::{Clock, SystemClock};
use crate::core::Compiled;
use crate::document::Document;
use crate::geo::GeoDatabases;
use crate::settings::Settings;

/// Added to our own deadline while we wait for the end of the process before: it has its own.
const END_MARGIN: Duration = Duration::from_secs(10);

/// What is ready before the data directory is ours.
pub(super) struct Ahead {
    pub(super) token: Option<Token>,
    pub(super) geo: Arc<GeoDatabases>,
    /// The rules of the catalog in force, where there was time to compile them.
    pub(super) compiled: Option<Compiled>,
    /// When the process before was told to end, microseconds on the monotonic clock.
    pub(super) relieved_at_us: Option<u64>,
}

impl Ahead {
    /// Reads and compiles; then tells the process before to end, and waits until it has.
    pub(super) async fn start(
        settings: &Settings,
        evaluators: usize,
        predecessor: Option<Predecessor>,
        clock: &SystemClock,
    ) -> Result<Self, StartError> {
        let token = super::start::token(settings)?;
        let geo = Arc::new(GeoDatabases::load(&settings.geoip)?);
        let Some(predecessor) = predecessor else {
            return Ok(Self {
                token,
                geo,
                compiled: None,
                relieved_at_us: None,
            });
        };
        check_catalog(settings)?;
        let compiled = compile_ahead(settings, evaluators);
        let patience = Duration::from_millis(settings.drain.deadline_ms) + END_MARGIN;
        tracing::info!("prepared; the process before may end");
        let relieved_at_us = Some(clock.monotonic_us());
        tokio::task::spawn_blocking(move || predecessor.relieve(patience))
            .await
            .map_err(|_panicked| TakeOverError::Stuck { waited: patience })??;
        Ok(Self {
            token,
            geo,
            compiled,
            relieved_at_us,
        })
    }
}

/// Refuses a catalog file that the start would refuse, while the process before still runs.
fn check_catalog(settings: &Settings) -> Result<(), StartError> {
    let Some(path) = &settings.catalog else {
        return Ok(());
    };
    let text = std::fs::read_to_string(path).map_err(|error| StartError::CatalogFile {
        path: path.clone(),
        error,
    })?;
    let store = Store::open(&settings.data_dir)?;
    if !store.is_last_applied(&text)? {
        let document = Document::parse(&path.display().to_string(), &text);
        store.prepare(&document, Some(&settings.activation.allow_private))?;
    }
    Ok(())
}

/// What fails here is said by the start itself, which does it again.
fn compile_ahead(settings: &Settings, evaluators: usize) -> Option<Compiled> {
    let current = Store::open(&settings.data_dir).ok()?.current().ok()?;
    Compiled::new(&current.catalog, current.generation, evaluators).ok()
}
