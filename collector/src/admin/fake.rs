//! A gateway of fixed answers, for tests of the admin API and of the command line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde_json::json;
use tidegate_event::Timestamp;
use tokio::sync::watch;

use super::control::{
    ApplyRefused, CatalogView, Control, ControlError, CursorView, DeadLetterView, DestinationView,
    FaultView, Readiness, ReloadRefused, ReloadView, ReplayView, TestView,
};
use crate::catalog::change::Applied;
use crate::catalog::store::{ApplyError, Store};
use crate::document::Document;
use crate::liveness::Report;
use crate::recent::RecentOutcome;

/// Answers from a real store and from constants; remembers what it was asked.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) ready: AtomicBool,
    pub(crate) report: Mutex<Report>,
    pub(crate) asked: Mutex<Vec<String>>,
    /// Tests and reloads do not end while it is true.
    pub(crate) hangs: watch::Sender<bool>,
    store: Store,
    _directory: tempfile::TempDir,
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        Arc::new(Self {
            ready: AtomicBool::new(true),
            report: Mutex::default(),
            asked: Mutex::default(),
            hangs: watch::Sender::new(false),
            store: Store::open(directory.path()).unwrap(),
            _directory: directory,
        })
    }

    fn note(&self, asked: String) {
        self.asked.lock().push(asked);
    }

    async fn ended(&self) {
        let mut hangs = self.hangs.subscribe();
        let _ = hangs.wait_for(|hangs| !*hangs).await;
    }

    fn known(&self, name: &str) -> Result<(), ControlError> {
        if name == "ads" {
            return Ok(());
        }
        Err(ControlError::NotFound {
            what: "destination",
            name: name.to_owned(),
        })
    }
}

fn failed<T, E: ToString>(result: Result<T, E>) -> Result<T, ControlError> {
    result.map_err(|error| ControlError::Failed {
        reason: error.to_string(),
    })
}

impl Control for Arc<Fake> {
    fn readiness(&self) -> Readiness {
        let ready = self.ready.load(Ordering::Relaxed);
        let reasons = if ready {
            vec![]
        } else {
            vec!["the disk budget is reached".to_owned()]
        };
        Readiness { ready, reasons }
    }

    fn liveness(&self) -> Arc<Report> {
        Arc::new(self.report.lock().clone())
    }

    fn stalls(&self) -> Vec<String> {
        self.report.lock().stalls()
    }

    fn stats(&self) -> serde_json::Value {
        json!({ "records": 7 })
    }

    fn outcomes(&self, last: usize, message_id: Option<&str>) -> Vec<RecentOutcome> {
        self.note(format!("outcomes {last} {message_id:?}"));
        Vec::new()
    }

    async fn catalog(&self) -> Result<CatalogView, ControlError> {
        let current = failed(self.store.current())?;
        Ok(CatalogView {
            generation: current.generation,
            digest: current.digest,
            catalog: current.catalog,
        })
    }

    async fn apply(&self, text: String, dry_run: bool) -> Result<Applied, ApplyRefused> {
        self.note(format!("apply dry_run={dry_run}"));
        let document = Document::parse("catalog", &text);
        let prepared = self.store.prepare(&document, None);
        let prepared = prepared.map_err(|error| match error {
            ApplyError::Faults(faults) => ApplyRefused::Faults(faults),
            ApplyError::Conflict => ApplyRefused::Conflict,
            ApplyError::Store(error) => ApplyRefused::Failed {
                reason: error.to_string(),
            },
        })?;
        if !dry_run {
            self.store.commit(&prepared, Timestamp(1)).unwrap();
        }
        Ok(prepared.applied)
    }

    async fn reload(&self) -> Result<ReloadView, ReloadRefused> {
        self.note("reload".to_owned());
        self.ended().await;
        if self.ready.load(Ordering::Relaxed) {
            let changed = vec!["edge.body_bytes_max".to_owned()];
            let needs_restart = vec!["edge.http".to_owned()];
            return Ok(ReloadView {
                changed,
                needs_restart,
                ..ReloadView::default()
            });
        }
        let (file, key) = ("tidegate.toml".to_owned(), "edge.ack".to_owned());
        let message = "is not a word".to_owned();
        let fault = FaultView {
            file,
            line: 2,
            column: 7,
            key,
            message,
        };
        Err(ReloadRefused {
            faults: vec![fault],
        })
    }

    async fn cursors(&self) -> Result<Vec<CursorView>, ControlError> {
        Ok(vec![CursorView {
            name: "kafka".to_owned(),
            class: "required".to_owned(),
            position: 5,
            lag: 2,
            gaps: 0,
            lost_records: 0,
        }])
    }

    async fn drop_cursor(&self, name: &str) -> Result<(), ControlError> {
        self.note(format!("drop {name}"));
        match name {
            "kafka" => Err(ControlError::InUse {
                name: name.to_owned(),
            }),
            "old one" => Ok(()),
            _ => Err(ControlError::NotFound {
                what: "cursor",
                name: name.to_owned(),
            }),
        }
    }

    async fn destinations(&self) -> Result<Vec<DestinationView>, ControlError> {
        let ads = DestinationView {
            name: "ads".to_owned(),
            kind: "webhook".to_owned(),
            enabled: true,
            state: "closed".to_owned(),
            queued: 3,
            in_flight: 1,
            delivered: 9,
            dead_letters: 1,
            last_error: None,
            oldest_queued_ms: Some(4),
        };
        let crm = DestinationView {
            name: "crm".to_owned(),
            state: "disabled".to_owned(),
            last_error: Some("gone".to_owned()),
            ..ads.clone()
        };
        let old = DestinationView {
            name: "old".to_owned(),
            enabled: false,
            ..ads.clone()
        };
        Ok(vec![ads, crm, old])
    }

    async fn dead_letters(
        &self,
        destination: &str,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, ControlError> {
        self.known(destination)?;
        self.note(format!("dead letters limit={limit}"));
        Ok(vec![DeadLetterView {
            id: 7,
            delivery_id: "msg_1".to_owned(),
            segment: "buyers".to_owned(),
            change: "enter".to_owned(),
            epoch: 1,
            occurred_at: Timestamp(0),
            dead_at: Timestamp(0),
            reason: "refused".to_owned(),
            attempts: 1,
            last_status: Some(400),
            body: "{}".to_owned(),
        }])
    }

    async fn test_destination(&self, destination: &str) -> Result<TestView, ControlError> {
        self.known(destination)?;
        self.ended().await;
        Ok(TestView {
            delivered: false,
            status: Some(500),
            latency_ms: 3,
            error: Some("server error".to_owned()),
        })
    }

    async fn enable_destination(&self, destination: &str) -> Result<(), ControlError> {
        self.known(destination)?;
        self.note(format!("enable {destination}"));
        Ok(())
    }

    async fn replay(
        &self,
        destination: &str,
        ids: Option<Vec<u64>>,
    ) -> Result<ReplayView, ControlError> {
        self.known(destination)?;
        self.note(format!("replay {ids:?}"));
        Ok(ReplayView {
            replayed: 2,
            ..ReplayView::default()
        })
    }

    async fn bad_rows(&self, limit: usize) -> Result<Vec<serde_json::Value>, ControlError> {
        Ok(vec![json!({ "limit": limit })])
    }
}
