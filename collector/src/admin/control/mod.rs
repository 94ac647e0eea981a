//! What the admin API asks of the gateway, as plain data that the command line reads back: one module
//! for each resource.

mod catalog;
mod reload;
mod cursor;
mod destination;
mod fault;

use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::catalog::{ApplyRefused, CatalogView};
pub use self::cursor::CursorView;
pub use self::destination::{DeadLetterView, DestinationView, ReplayView, TestView};
pub use self::fault::FaultView;
pub use self::reload::{FileChange, ReloadRefused, ReloadView, ReloadedParts};
use crate::catalog::change::Applied;
use crate::cursors::need::{Need, need};
use crate::liveness::Report;
use crate::recent::RecentOutcome;

/// The gateway as the admin API sees it. The futures may wait; none may block a thread for long.
pub trait Control: Send + Sync + 'static {
    /// Whether hits can be made durable now. Cheap: asked by every probe.
    fn readiness(&self) -> Readiness;

    /// What was last found of threads, tasks and cursors.
    fn liveness(&self) -> Arc<Report>;

    /// What is wrong where a restart may help; empty where all is well.
    fn stalls(&self) -> Vec<String>;

    /// A snapshot of figures for people; any shape.
    fn stats(&self) -> serde_json::Value;

    /// The newest outcomes that are kept, newest first; those of one message, where it is named.
    fn outcomes(&self, last: usize, message_id: Option<&str>) -> Vec<RecentOutcome>;

    /// The catalog in force.
    fn catalog(&self) -> impl Future<Output = Result<CatalogView, ControlError>> + Send;

    /// Applies a catalog file, or only says what that would change.
    fn apply(
        &self,
        text: String,
        dry_run: bool,
    ) -> impl Future<Output = Result<Applied, ApplyRefused>> + Send;

    /// Reads settings, catalog, GeoIP databases and certificates again and takes what changed.
    fn reload(&self) -> impl Future<Output = Result<ReloadView, ReloadRefused>> + Send;

    /// The journal's cursors, by name.
    fn cursors(&self) -> impl Future<Output = Result<Vec<CursorView>, ControlError>> + Send;

    /// Drops a cursor that nobody uses.
    fn drop_cursor(&self, name: &str) -> impl Future<Output = Result<(), ControlError>> + Send;

    /// The destinations, by name.
    fn destinations(
        &self,
    ) -> impl Future<Output = Result<Vec<DestinationView>, ControlError>> + Send;

    /// Dead letters of a destination, newest first.
    fn dead_letters(
        &self,
        destination: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeadLetterView>, ControlError>> + Send;

    /// Sends a test callback.
    fn test_destination(
        &self,
        destination: &str,
    ) -> impl Future<Output = Result<TestView, ControlError>> + Send;

    /// Lifts any pause of a destination, also that of one that answered 410.
    fn enable_destination(
        &self,
        destination: &str,
    ) -> impl Future<Output = Result<(), ControlError>> + Send;

    /// Queues dead letters again: those with these ids, or all.
    fn replay(
        &self,
        destination: &str,
        ids: Option<Vec<u64>>,
    ) -> impl Future<Output = Result<ReplayView, ControlError>> + Send;

    /// The newest bad rows, newest first.
    fn bad_rows(
        &self,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<serde_json::Value>, ControlError>> + Send;
}

/// Whether hits can be made durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// The answer.
    pub ready: bool,
    /// Why not; empty where ready.
    pub reasons: Vec<String>,
}

/// Why a request to the gateway failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No such cursor or destination.
    #[error("there is no {what} {name:?}; list them first")]
    NotFound {
        /// `cursor` or `destination`.
        what: &'static str,
        /// As asked for.
        name: String,
    },
    /// It is in use.
    #[error("cursor {name:?} is in use; {}", instead(name))]
    InUse {
        /// As asked for.
        name: String,
    },
    /// A part of the gateway failed; its log says more.
    #[error("the gateway could not do it: {reason}")]
    Failed {
        /// In a few words.
        reason: String,
    },
}

/// What dropping a cursor that is in use would mean, and what to do instead.
fn instead(cursor: &str) -> String {
    need(cursor).map_or_else(
        || "take away what uses it first".to_owned(),
        |Need { lost, until }| format!("without it {lost}; {}", until.replace("NAME", cursor)),
    )
}
