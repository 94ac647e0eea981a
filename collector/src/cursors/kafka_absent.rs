//! Stands in for `kafka` in a build without the feature `kafka`: it refuses `[kafka]` with what to
//! do. The cursor keeps its name, so that dropping it is warned of as in any other build.

use std::path::Path;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tidegate_event::Pulse;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::source::Source;
use crate::clock::Clock;
use crate::not_built::{KAFKA, NotBuilt};
use crate::settings::Kafka;

/// The cursor's name.
pub const CURSOR: &str = "kafka";

/// Forwarding was asked for.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] NotBuilt);

/// Refuses `[kafka]`.
///
/// # Errors
/// Always.
pub const fn check(_settings: &Kafka) -> Result<(), NotBuilt> {
    Err(KAFKA)
}

/// Counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct Metrics;

impl Metrics {
    /// Registers nothing.
    pub const fn register(_registry: &mut Registry) -> Self {
        Self
    }
}

/// No sink runs.
#[derive(Debug)]
pub enum KafkaSink {}

impl KafkaSink {
    /// # Errors
    /// Always.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the shape of the real sink, which keeps its settings"
    )]
    pub fn start(
        settings: Kafka,
        _data_dir: &Path,
        _source: Source,
        _clock: Arc<dyn Clock>,
        _metrics: Metrics,
        _runtime: Handle,
        _pulse: Pulse,
    ) -> Result<Self, StartError> {
        check(&settings)?;
        Err(KAFKA.into())
    }

    /// As in `kafka`.
    #[must_use]
    pub const fn acked(&self) -> watch::Receiver<u64> {
        match *self {}
    }

    /// As in `kafka`.
    pub const fn stop(self) {
        match self {}
    }
}
