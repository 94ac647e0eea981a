//! What the admin API asks of the gateway, as plain data that the command line reads back.

use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_event::Timestamp;

use crate::catalog::Catalog;
use crate::catalog::change::Applied;
use crate::cursors::need::{Need, need};
use crate::document::{Fault, Faults, Place};
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

/// The catalog in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CatalogView {
    /// Its generation; 0 before the first apply.
    pub generation: u32,
    /// SHA-256 of its canonical text, hex.
    pub digest: String,
    /// What is enabled; secrets are shown as `***`.
    pub catalog: Catalog,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadView {
    /// Settings that are in force now, by key.
    pub changed: Vec<String>,
    /// Settings that differ from those in force and wait for a restart, by key.
    pub needs_restart: Vec<String>,
    /// Whether each of the other files changed.
    pub parts: ReloadedParts,
}

/// What a reload did to the files beside the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadedParts {
    /// The catalog file.
    pub catalog: Fate,
    /// The GeoIP databases.
    pub geoip: Fate,
    /// The data sets for user agents.
    #[serde(default)]
    pub user_agents: Fate,
    /// The certificates.
    pub certificates: Fate,
}

/// Whether a file took effect anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It did.
    Changed,
    /// It is as it was, or there is none.
    #[default]
    Unchanged,
}

impl ReloadView {
    /// True where anything took effect.
    #[must_use]
    pub fn applied(&self) -> bool {
        let parts = [
            self.parts.catalog,
            self.parts.geoip,
            self.parts.user_agents,
            self.parts.certificates,
        ];
        !self.changed.is_empty() || parts.contains(&Fate::Changed)
    }
}

/// A reload that changed nothing, because of a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not reloaded, everything stays as it was: {}", self.told())]
pub struct ReloadRefused {
    /// Every mistake found.
    pub faults: Vec<FaultView>,
}

impl ReloadRefused {
    fn told(&self) -> String {
        let told: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        told.join("; ")
    }
}

/// One cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorView {
    /// Its name.
    pub name: String,
    /// `required`, `best-effort` or `ephemeral`.
    pub class: String,
    /// Every offset below is done.
    pub position: u64,
    /// Durable offsets not yet done.
    pub lag: u64,
    /// How often it was moved past records it had not seen.
    pub gaps: u64,
    /// How many records these were.
    pub lost_records: u64,
}

impl From<tidegate_journal::CursorInfo> for CursorView {
    fn from(info: tidegate_journal::CursorInfo) -> Self {
        use tidegate_journal::CursorClass;
        let class = match info.class {
            CursorClass::Required => "required",
            CursorClass::BestEffort => "best-effort",
            CursorClass::Ephemeral => "ephemeral",
        };
        Self {
            name: info.name,
            class: class.to_owned(),
            position: info.position,
            lag: info.lag,
            gaps: info.gaps,
            lost_records: info.lost_records,
        }
    }
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationView {
    /// Its name.
    pub name: String,
    /// The word for its kind.
    pub kind: String,
    /// Whether it is told anything.
    pub enabled: bool,
    /// `closed` where all is well, `open` or `half_open` while it is paused, `disabled` since it
    /// answered 410.
    pub state: String,
    /// Changes waiting, those in flight included.
    pub queued: u64,
    /// Requests without an answer yet.
    pub in_flight: u64,
    /// Delivered since the start.
    pub delivered: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// The newest failure since the last success.
    pub last_error: Option<String>,
    /// Milliseconds since the oldest change was queued.
    pub oldest_queued_ms: Option<u64>,
}

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterView {
    /// Names it for a replay.
    pub id: u64,
    /// The id that its receiver deduplicates by.
    #[serde(rename = "webhook_id")]
    pub delivery_id: String,
    /// The segment.
    pub segment: String,
    /// `enter` or `exit`.
    pub change: String,
    /// The change's epoch.
    pub epoch: u32,
    /// When it was decided.
    pub occurred_at: Timestamp,
    /// Since when it is here.
    pub dead_at: Timestamp,
    /// Why it is here.
    pub reason: String,
    /// Attempts made.
    pub attempts: u32,
    /// Status of the last answer.
    pub last_status: Option<u16>,
    /// What was sent, without secrets.
    pub body: String,
}

/// How a test callback went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestView {
    /// A 2xx came back.
    pub delivered: bool,
    /// Its status; None where no answer came.
    pub status: Option<u16>,
    /// Milliseconds it took.
    pub latency_ms: u64,
    /// What went wrong.
    pub error: Option<String>,
}

/// What became of dead letters that were replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayView {
    /// Queued again.
    pub replayed: u64,
    /// Dropped: something newer has overtaken them.
    pub superseded: u64,
    /// No such dead letter.
    pub missing: u64,
    /// Left where they are: the outbox has no capacity.
    #[serde(rename = "no_room")]
    pub no_capacity: u64,
}

/// One mistake of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// The file, or the environment variable.
    #[serde(default)]
    pub file: String,
    /// From 1; 0 where it is the file as a whole.
    pub line: u32,
    /// From 1, in characters; 0 where it is the file as a whole.
    pub column: u32,
    /// The key's full path.
    pub key: String,
    /// What is wrong and what to write.
    pub message: String,
}

impl From<&Fault> for FaultView {
    fn from(fault: &Fault) -> Self {
        let (file, line, column) = match &fault.place {
            Place::File { file, line, column } => (file.clone(), *line, *column),
            Place::Environment { .. } | Place::Defaults => (fault.place.to_string(), 0, 0),
        };
        Self {
            file,
            line,
            column,
            key: fault.key.clone(),
            message: fault.reason.to_string(),
        }
    }
}

impl std::fmt::Display for FaultView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
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

/// Why a catalog was not applied; the old one stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyRefused {
    /// It has mistakes.
    #[error("{0}")]
    Faults(Faults),
    /// Another one was applied in between.
    #[error("another catalog was applied in the meantime; apply again")]
    Conflict,
    /// A part of the gateway failed.
    #[error("the gateway could not apply it: {reason}")]
    Failed {
        /// In a few words.
        reason: String,
    },
}
