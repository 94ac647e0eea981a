//! The thread that looks at every pulse and cursor, four times a second. It is no task: a runtime
//! whose workers all block is what it has to see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tidegate_event::{Pulse, Pulses};
use tidegate_journal::Journal;
use tokio::sync::watch;

use super::cursor::CursorWatch;
use super::durable::DurableLag;
use super::part::{PartState, Parts};
use super::report::Report;
use super::spawn;
use crate::clock::Clock;
use crate::core::checkpoint;

/// How often it looks.
pub const LOOK: Duration = Duration::from_millis(250);
/// It has to look itself within this, milliseconds.
const OWN_BOUND_MS: u64 = 10_000;

/// Bounds of the watch, from the settings.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// `liveness.cursor_stalled`, milliseconds.
    pub cursor_stalled_ms: u64,
    /// `liveness.durable_lag_max`, milliseconds.
    pub durable_lag_max_ms: u64,
    /// So far behind the checkpoint rests by design, records.
    pub checkpoint_lag: u64,
}

/// Called after each look, on the watcher's thread.
pub type AfterLook = fn(&Report);

/// What every part of the gateway is watched by. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Liveness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    own: Pulses,
    /// The lists of other crates.
    others: Mutex<Vec<Pulses>>,
    report: ArcSwap<Report>,
    looked_us: AtomicU64,
    disk_hangs: Arc<AtomicBool>,
    stopping: AtomicBool,
}

impl Liveness {
    /// No part yet; nothing is looked at before [`Liveness::watch`].
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let looked_us = AtomicU64::new(clock.monotonic_us());
        Self(Arc::new(Inner {
            clock,
            own: Pulses::default(),
            others: Mutex::default(),
            report: ArcSwap::default(),
            looked_us,
            disk_hangs: Arc::default(),
            stopping: AtomicBool::new(false),
        }))
    }

    /// Adds a part of this crate that may work for `bound` without a beat.
    #[must_use]
    pub fn register(&self, name: impl Into<String>, bound: Duration) -> Pulse {
        let bound_ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        self.0.own.register(name, bound_ms)
    }

    /// Adds the parts of another crate.
    pub fn include(&self, pulses: Pulses) {
        self.0.others.lock().push(pulses);
    }

    /// True while a record waits longer than `liveness.durable_lag_max` to become durable.
    #[must_use]
    pub fn disk_hangs(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.disk_hangs)
    }

    /// Parts that end from now on were asked to.
    pub fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
    }

    /// What the last look found.
    #[must_use]
    pub fn report(&self) -> Arc<Report> {
        self.0.report.load_full()
    }

    /// What is wrong, where a restart may help; empty where all is well. The watcher itself is
    /// among it: who asks is another thread.
    #[must_use]
    pub fn stalls(&self) -> Vec<String> {
        // The drain has a deadline of its own.
        if self.is_stopping() {
            return Vec::new();
        }
        let mut stalls = self.report().stalls();
        let looked_us = self.0.looked_us.load(Ordering::Acquire);
        let silent_ms = self.0.clock.monotonic_us().saturating_sub(looked_us) / 1_000;
        if silent_ms > OWN_BOUND_MS {
            stalls.push(format!(
                "the liveness thread has not looked for {silent_ms} ms"
            ));
        }
        stalls
    }

    /// Starts to look, until the gateway stops or the sender of `gateway` is dropped.
    ///
    /// # Errors
    /// Those of the system, which starts the thread.
    pub fn watch(
        &self,
        journal: Journal,
        bounds: Bounds,
        after_look: Option<AfterLook>,
        gateway: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let mut watcher = Watcher {
            liveness: self.clone(),
            journal,
            bounds,
            parts: Parts::default(),
            cursors: CursorWatch::default(),
            durable: DurableLag::default(),
            known: BTreeMap::new(),
        };
        // A caller that asks at once finds all parts.
        watcher.look();
        let pulse = self.register("liveness", Duration::from_millis(OWN_BOUND_MS));
        let thread = spawn::thread("liveness", pulse, move |pulse| {
            while gateway.has_changed().is_ok() && !watcher.liveness.is_stopping() {
                let report = watcher.look();
                if let Some(after_look) = after_look {
                    after_look(&report);
                }
                pulse.beat();
                std::thread::sleep(LOOK);
            }
        })?;
        // It ends by itself within a look.
        drop(thread);
        Ok(())
    }
}

struct Watcher {
    liveness: Liveness,
    journal: Journal,
    bounds: Bounds,
    parts: Parts,
    cursors: CursorWatch,
    durable: DurableLag,
    /// What was bad at the last look: each change is logged once.
    known: BTreeMap<String, PartState>,
}

impl Watcher {
    fn look(&mut self) -> Arc<Report> {
        let inner = Arc::clone(&self.liveness.0);
        let now_us = inner.clock.monotonic_us();
        let mut beats = self.journal.pulses().beats();
        beats.extend(inner.own.beats());
        for pulses in &*inner.others.lock() {
            beats.extend(pulses.beats());
        }
        let Bounds {
            cursor_stalled_ms,
            durable_lag_max_ms,
            checkpoint_lag,
        } = self.bounds;
        let allowed_lag = |name: &str| match name {
            checkpoint::CURSOR => checkpoint_lag,
            _ => 0,
        };
        // In this order: what is durable was taken before.
        let durable = self.journal.durable();
        let next = self.journal.next_offset();
        let durable_lag_ms = self.durable.look(next, durable, now_us);
        let cursors = self.journal.cursors();
        let report = Arc::new(Report {
            parts: self.parts.look(beats, now_us),
            cursors: self
                .cursors
                .look(cursors, allowed_lag, cursor_stalled_ms, now_us),
            durable_lag_ms,
            durable_lags: durable_lag_ms > durable_lag_max_ms,
        });
        self.log(&report);
        inner
            .disk_hangs
            .store(report.durable_lags, Ordering::Relaxed);
        inner.report.store(Arc::clone(&report));
        inner.looked_us.store(now_us, Ordering::Release);
        report
    }

    /// Once for each change.
    fn log(&mut self, report: &Report) {
        if self.liveness.is_stopping() {
            return;
        }
        let mut bad = BTreeMap::new();
        for part in report.parts.iter().filter(|part| part.state.is_bad()) {
            bad.insert(part.part.clone(), part.state);
        }
        for cursor in report.cursors.iter().filter(|cursor| cursor.stalled) {
            bad.insert(format!("cursor {}", cursor.cursor), PartState::Stalled);
        }
        if report.durable_lags {
            bad.insert("the journal's disk".to_owned(), PartState::Stalled);
        }
        for (part, state) in &bad {
            if self.known.get(part) != Some(state) {
                let (state, remedy) = (state.as_str(), remedy(part, *state));
                tracing::error!(
                    part,
                    state,
                    remedy,
                    "a part of the gateway does not move on"
                );
            }
        }
        for part in self.known.keys().filter(|part| !bad.contains_key(*part)) {
            tracing::info!(part, "it moves on again");
        }
        self.known = bad;
    }
}

fn remedy(part: &str, state: PartState) -> &'static str {
    match state {
        PartState::Panicked | PartState::Ended => {
            "the process ends and has to be started again; what was acknowledged is in the journal. \
             Report this with the log lines above"
        }
        PartState::Stalled if part.starts_with("cursor ") => {
            "look at what the cursor feeds: for kafka the brokers, for activation the outbox \
             (tidegate destinations list), for checkpoint the disk. Where all of that is well, restart"
        }
        PartState::Stalled if part == "the journal's disk" => {
            "no write returns: look at the disk (iostat, dmesg); the gateway is not ready meanwhile"
        }
        PartState::Stalled | PartState::Working | PartState::Idle => {
            "look at the disk (iostat, dmesg) and at the processor; where both are well, restart"
        }
    }
}
