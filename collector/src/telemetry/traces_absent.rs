//! Stands in for `traces` in a build without the feature `otlp`: it refuses
//! `telemetry.otlp.endpoint` with what to do, and traces nothing. No value of these types exists.

use std::sync::Arc;

use http::HeaderMap;
use prometheus_client::registry::Registry;
use tidegate_activation::{Attempt, Observer};
use tokio::sync::watch;

pub use super::traced::{Answered, Stage};
use crate::clock::Clock;
use crate::not_built::{NotBuilt, OTLP};
use crate::settings::Otlp;

/// Traces were asked for.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ExportError(#[from] NotBuilt);

/// Begins no traces.
#[derive(Clone, Debug)]
pub enum Traces {}

/// Sends no spans.
#[derive(Debug)]
pub enum Export {}

/// A request that is traced.
#[derive(Debug)]
pub enum RequestTrace {}

/// Counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct TraceMetrics;

impl TraceMetrics {
    /// Registers nothing.
    pub const fn register(_registry: &mut Registry) -> Self {
        Self
    }
}

impl Traces {
    /// # Errors
    /// Always.
    pub fn new(
        _settings: &Otlp,
        _endpoint: &str,
        _clock: Arc<dyn Clock>,
        _metrics: TraceMetrics,
    ) -> Result<(Self, Export), ExportError> {
        Err(OTLP.into())
    }

    /// As in `traces`.
    #[must_use]
    pub const fn begin(&self, _believed: Option<&HeaderMap>) -> Option<RequestTrace> {
        match *self {}
    }
}

impl Observer for Traces {
    fn attempted(&self, _attempt: &Attempt<'_>) {
        match *self {}
    }
}

impl Export {
    /// As in `traces`.
    pub async fn run(self, _stopping: watch::Receiver<bool>) {
        match self {}
    }
}

impl RequestTrace {
    /// As in `traces`.
    pub const fn ended(&self, _stage: Stage) {
        match *self {}
    }

    /// As in `traces`.
    pub const fn answered(self, _answered: Answered<'_>) {
        match self {}
    }
}
