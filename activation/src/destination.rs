//! One destination as it runs: its plan (swapped on reload), queue, limits and counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tidegate_event::Timestamp;

use crate::breaker::{Breaker, BreakerState};
use crate::capacity::Full;
use crate::dead_letter::{DeadReason, DeadRow};
use crate::destinations::Plan;
use crate::intent::Row;
use crate::limiter::{Rate, Width};
use crate::outbox::{DeadIndex, DestinationId, Kept};
use crate::queue::Queue;
use crate::retry::FailureKind;
use crate::stats::{DestinationStatus, Stats, count};
use crate::wake::Wake;

/// See the module.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) id: DestinationId,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) control: Mutex<Control>,
    pub(crate) stats: Stats,
    /// Rows in the outbox.
    pub(crate) rows: AtomicU64,
    /// Dead letters kept. Changed only under [`crate::shared::Shared::dead_letters`].
    pub(crate) dead_letters: Mutex<DeadIndex>,
    pub(crate) in_flight: AtomicUsize,
    /// Set while it is full.
    pub(crate) full: Mutex<Option<Full>>,
    /// Tells the worker to look again.
    pub(crate) wake: Wake,
    plan: Mutex<Arc<Plan>>,
}

/// What decides whether a request may start.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) breaker: Breaker,
    pub(crate) width: Width,
    pub(crate) rate: Rate,
    pub(crate) last_error: Option<FailureKind>,
}

impl Destination {
    /// With nothing in memory yet of what is stored.
    pub(crate) fn new(id: DestinationId, plan: Plan, resident_max: usize, kept: Kept) -> Self {
        Self {
            id,
            queue: Mutex::new(Queue::new(resident_max, kept.waiting)),
            control: Mutex::new(Control {
                breaker: Breaker::new(),
                width: Width::new(&plan.limits),
                rate: Rate::new(&plan.limits),
                last_error: None,
            }),
            stats: Stats::default(),
            rows: AtomicU64::new(kept.rows),
            dead_letters: Mutex::new(kept.dead_letters),
            in_flight: AtomicUsize::new(0),
            full: Mutex::new(None),
            wake: Wake::default(),
            plan: Mutex::new(Arc::new(plan)),
        }
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.lock())
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Takes a new plan; limits start afresh where they changed. True where it became another
    /// destination in all but name, or is back in the configuration: that lifts a pause, a 410's
    /// too.
    pub(crate) fn replan(&self, plan: Plan) -> bool {
        let old = std::mem::replace(&mut *self.plan.lock(), Arc::new(plan));
        let new = self.plan();
        let mut control = self.control.lock();
        if old.limits != new.limits {
            control.width = Width::new(&new.limits);
            control.rate = Rate::new(&new.limits);
        }
        let afresh = old.fingerprint() != new.fingerprint() || (new.enabled && !old.enabled);
        if afresh {
            control.breaker.enable();
        }
        drop(control);
        self.wake.ring();
        afresh
    }

    /// True after a 410, until it is enabled.
    pub(crate) fn is_switched_off(&self) -> bool {
        self.control.lock().breaker.state() == BreakerState::Disabled
    }

    /// True while nothing is sent because of how the destination answered.
    pub(crate) fn is_held_back(&self) -> bool {
        self.control.lock().breaker.state() != BreakerState::Closed
    }

    /// Makes a dead letter of `row` and counts it.
    pub(crate) fn dead_letter(&self, row: Row, reason: DeadReason, at: Timestamp) -> DeadRow {
        count(&self.stats.dead);
        DeadRow::new(&self.plan(), row, reason, at)
    }

    pub(crate) fn status(&self, now: Timestamp) -> DestinationStatus {
        let plan = self.plan();
        let (parked, oldest) = {
            let queue = self.queue.lock();
            (queue.parked(), queue.oldest())
        };
        let dead_letters = self.dead_letters.lock().count();
        let control = self.control.lock();
        DestinationStatus {
            name: plan.name.clone(),
            kind: plan.kind,
            enabled: plan.enabled,
            queued: self.rows(),
            in_flight: self.in_flight.load(Ordering::Relaxed) as u64,
            parked: parked as u64,
            delivered: self.stats.delivered.load(Ordering::Relaxed),
            dead_letters,
            breaker: control.breaker.state(),
            last_error: control.last_error,
            oldest_queued_ms: oldest.and_then(|at| u64::try_from(now.since(at)).ok()),
        }
    }
}
