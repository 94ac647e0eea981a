//! The admin API's view of the gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_activation::{Activation, AdminError, ReplayWhich};
use tidegate_journal::CursorError;

use super::catalogs::Catalogs;
use super::figures::Figures;
use super::reload::Reloads;
use crate::admin::control::{
    ApplyRefused, CatalogView, Control, ControlError, CursorView, DeadLetterView, DestinationView,
    FaultView, Readiness, ReloadRefused, ReloadView, ReplayView, TestView,
};
use crate::bad_rows::BadRows;
use crate::catalog::change::Applied;
use crate::core::Core;
use crate::liveness::{Liveness, Report, spawn};
use crate::recent::{RecentOutcome, RecentOutcomes};

pub(super) struct AppControl {
    pub(super) core: Core,
    pub(super) catalogs: Arc<Catalogs>,
    pub(super) activation: Activation,
    pub(super) bad_rows: BadRows,
    pub(super) figures: Figures,
    pub(super) reloads: Arc<Reloads>,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) recent: RecentOutcomes,
    pub(super) liveness: Liveness,
}

impl Control for AppControl {
    fn readiness(&self) -> Readiness {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("the gateway is about to stop".to_owned());
        }
        if let Some(fatal) = self.core.journal().failure() {
            reasons.push(format!("the journal failed: {fatal}"));
        } else if let Err(full) = self.core.room() {
            reasons.push(format!("the journal has no room: {full}"));
            reasons.extend(self.core.journal().troubles());
        }
        let report = self.liveness.report();
        if report.durable_lags {
            let waited_ms = report.durable_lag_ms;
            reasons.push(format!(
                "the disk does not answer: a record has waited {waited_ms} ms to become durable"
            ));
        }
        Readiness {
            ready: reasons.is_empty(),
            reasons,
        }
    }

    fn liveness(&self) -> Arc<Report> {
        self.liveness.report()
    }

    fn stalls(&self) -> Vec<String> {
        self.liveness.stalls()
    }

    fn stats(&self) -> serde_json::Value {
        self.figures.stats()
    }

    fn outcomes(&self, last: usize, message_id: Option<&str>) -> Vec<RecentOutcome> {
        self.recent.last(last, message_id)
    }

    async fn catalog(&self) -> Result<CatalogView, ControlError> {
        let catalogs = Arc::clone(&self.catalogs);
        let current = blocking(move || catalogs.current()).await?;
        let current = current.map_err(|error| failed(&error))?;
        Ok(CatalogView {
            generation: current.generation,
            digest: current.digest,
            catalog: current.catalog,
        })
    }

    async fn apply(&self, text: String, dry_run: bool) -> Result<Applied, ApplyRefused> {
        let catalogs = Arc::clone(&self.catalogs);
        // On its own task: a client that hangs up must not leave a change half done.
        let applied = spawn::short(async move { catalogs.apply(text, dry_run).await });
        applied.await.map_err(|error| ApplyRefused::Failed {
            reason: error.to_string(),
        })?
    }

    async fn reload(&self) -> Result<ReloadView, ReloadRefused> {
        let reloads = Arc::clone(&self.reloads);
        // As above.
        let reloaded = spawn::short(async move { reloads.reload().await });
        reloaded.await.map_err(|error| ReloadRefused {
            faults: vec![FaultView {
                file: String::new(),
                line: 0,
                column: 0,
                key: String::new(),
                message: error.to_string(),
            }],
        })?
    }

    async fn cursors(&self) -> Result<Vec<CursorView>, ControlError> {
        let mut cursors: Vec<CursorView> = self
            .core
            .journal()
            .cursors()
            .into_iter()
            .map(CursorView::from)
            .collect();
        cursors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(cursors)
    }

    async fn drop_cursor(&self, name: &str) -> Result<(), ControlError> {
        let (journal, dropped) = (self.core.journal().clone(), name.to_owned());
        // It writes and syncs a file.
        let dropped = blocking(move || journal.drop_cursor(&dropped)).await?;
        dropped.map_err(|error| match error {
            CursorError::Unknown => ControlError::NotFound {
                what: "cursor",
                name: name.to_owned(),
            },
            CursorError::InUse => ControlError::InUse {
                name: name.to_owned(),
            },
            error => failed(&error),
        })
    }

    async fn destinations(&self) -> Result<Vec<DestinationView>, ControlError> {
        Ok(self
            .activation
            .list()
            .into_iter()
            .map(|status| DestinationView {
                name: status.name,
                kind: status.kind.to_owned(),
                enabled: status.enabled,
                state: status.breaker.as_str().to_owned(),
                queued: status.queued,
                in_flight: status.in_flight,
                delivered: status.delivered,
                dead_letters: status.dead_letters,
                last_error: status.last_error.map(|kind| kind.as_str().to_owned()),
                oldest_queued_ms: status.oldest_queued_ms,
            })
            .collect())
    }

    async fn dead_letters(
        &self,
        destination: &str,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, ControlError> {
        let letters = self.outbox(destination, move |activation, name| {
            activation.dead_letters(name, limit)
        });
        Ok(letters
            .await?
            .into_iter()
            .map(|letter| DeadLetterView {
                id: letter.id,
                delivery_id: letter.delivery_id,
                segment: letter.segment,
                change: letter.change.as_str().to_owned(),
                epoch: letter.epoch,
                occurred_at: letter.occurred_at,
                dead_at: letter.dead_at,
                reason: letter.reason.as_str().to_owned(),
                attempts: letter.attempts,
                last_status: letter.last_status,
                body: letter.request.body,
            })
            .collect())
    }

    async fn test_destination(&self, destination: &str) -> Result<TestView, ControlError> {
        let report = self.activation.test(destination).await;
        let report = report.map_err(|error| refused(&error, destination))?;
        Ok(TestView {
            delivered: report.failure.is_none(),
            status: report.status,
            latency_ms: report.latency_ms,
            error: report.failure.map(|kind| kind.as_str().to_owned()),
        })
    }

    async fn enable_destination(&self, destination: &str) -> Result<(), ControlError> {
        self.outbox(destination, |activation, name| activation.enable(name))
            .await
    }

    async fn replay(
        &self,
        destination: &str,
        ids: Option<Vec<u64>>,
    ) -> Result<ReplayView, ControlError> {
        let which = ids.map_or(ReplayWhich::All, ReplayWhich::Ids);
        let report = self.outbox(destination, move |activation, name| {
            activation.replay(name, which)
        });
        let report = report.await?;
        Ok(ReplayView {
            replayed: report.replayed,
            superseded: report.superseded,
            missing: report.missing,
            no_capacity: report.no_capacity,
        })
    }

    async fn bad_rows(&self, limit: usize) -> Result<Vec<serde_json::Value>, ControlError> {
        let bad_rows = self.bad_rows.clone();
        let rows = blocking(move || bad_rows.last(limit)).await?;
        let rows = rows.map_err(|error| failed(&error))?;
        Ok(rows
            .iter()
            .filter_map(|row| serde_json::from_str(row).ok())
            .collect())
    }
}

impl AppControl {
    /// Asks the outbox off the runtime: it may block for a disk.
    async fn outbox<T: Send + 'static>(
        &self,
        destination: &str,
        ask: impl FnOnce(&Activation, &str) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let (activation, name) = (self.activation.clone(), destination.to_owned());
        let answer = blocking(move || ask(&activation, &name)).await?;
        answer.map_err(|error| refused(&error, destination))
    }
}

/// Work that may wait for a disk: not for a worker thread of the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(&error))
}

fn failed(error: &dyn std::fmt::Display) -> ControlError {
    ControlError::Failed {
        reason: error.to_string(),
    }
}

fn refused(error: &AdminError, destination: &str) -> ControlError {
    match error {
        AdminError::UnknownDestination => ControlError::NotFound {
            what: "destination",
            name: destination.to_owned(),
        },
        AdminError::Left => ControlError::NotFound {
            what: "destination of the catalog",
            name: destination.to_owned(),
        },
        AdminError::Store(_) => failed(error),
    }
}
