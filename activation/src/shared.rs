//! What hand-in, workers and the store thread share: outbox, clock, bounds and row counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::clock::{Clock, Steady};
use crate::destination::Destination;
use crate::error::StoreError;
use crate::mutant::Mutant;
use crate::observer::Observer;
use crate::outbox::storage::Durability;
use crate::outbox::{Outbox, Write};
use crate::settings::Settings;
use crate::stats::count;
use crate::transport::Transport;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    /// None while the database is opened again.
    outbox: RwLock<Option<Arc<Outbox>>>,
    pub(crate) clock: Steady,
    pub(crate) settings: Settings,
    pub(crate) transport: Arc<dyn Transport>,
    /// Held while rows are added to the outbox or loaded from it. Never by a worker.
    pub(crate) writes: Mutex<()>,
    /// Held from the choice of dead letters to add or drop until that is written. Taken after
    /// `writes` where both are.
    pub(crate) dead_letters: Mutex<()>,
    pub(crate) cursor: AtomicU64,
    /// Signalled when rows leave the outbox, and when a destination fails: it is not waited for.
    pub(crate) freed: Notify,
    /// Called after each attempt, where one is set.
    pub(crate) observer: OnceLock<Arc<dyn Observer>>,
    rows: AtomicU64,
    orphans: AtomicU64,
    next_dead: AtomicU64,
    failed: AtomicBool,
    #[cfg(any(test, feature = "simulation"))]
    mutant: OnceLock<Mutant>,
}

impl Shared {
    pub(crate) fn new(
        outbox: Outbox,
        clock: Arc<dyn Clock>,
        settings: Settings,
        transport: Arc<dyn Transport>,
        rows: u64,
    ) -> Result<Self, StoreError> {
        let clock = Steady::new(clock, outbox.clock()?);
        Ok(Self {
            #[cfg(any(test, feature = "simulation"))]
            mutant: OnceLock::new(),
            cursor: AtomicU64::new(outbox.cursor()?),
            next_dead: AtomicU64::new(outbox.next_dead_number()?),
            rows: AtomicU64::new(rows),
            orphans: AtomicU64::new(0),
            outbox: RwLock::new(Some(Arc::new(outbox))),
            clock,
            settings,
            transport,
            writes: Mutex::new(()),
            dead_letters: Mutex::new(()),
            freed: Notify::new(),
            observer: OnceLock::new(),
            failed: AtomicBool::new(false),
        })
    }

    pub(crate) fn outbox(&self) -> Result<Arc<Outbox>, StoreError> {
        self.outbox.read().clone().ok_or(StoreError::Closed)
    }

    /// Writes, and closes the outbox where that fails: its engine takes no further writes, and what
    /// memory holds is ahead of what is stored.
    pub(crate) fn commit(
        &self,
        write: Write<'_>,
        durability: Durability,
    ) -> Result<(), StoreError> {
        write
            .commit(durability)
            .inspect_err(|error| self.fail(error))
    }

    /// Something stored cannot be read. It costs only itself.
    pub(crate) fn unreadable(&self, destination: &Destination, what: &str) {
        count(&destination.stats.unreadable);
        tracing::error!(destination = destination.plan().name, "{what}");
    }

    /// Switches a broken behaviour on.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn mutate(&self, mutant: Mutant) {
        let _first = self.mutant.set(mutant);
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn mutated(&self) -> Option<Mutant> {
        self.mutant.get().copied()
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn is_mutant(&self, mutant: Mutant) -> bool {
        self.mutated() == Some(mutant)
    }

    #[cfg(not(any(test, feature = "simulation")))]
    pub(crate) const fn is_mutant(&self, _mutant: Mutant) -> bool {
        false
    }

    /// Lets the database go.
    pub(crate) fn close(&self) {
        self.fail(&StoreError::Closed);
        *self.outbox.write() = None;
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(crate) fn rows_added(&self, destination: &Destination, count: u64) {
        self.rows.fetch_add(count, Ordering::Relaxed);
        destination.rows.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn rows_removed(&self, destination: &Destination, count: u64) {
        self.rows.fetch_sub(count, Ordering::Relaxed);
        destination.rows.fetch_sub(count, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Rows and dead letters were dropped whose destination is gone.
    pub(crate) fn orphaned(&self, rows: u64, dead: u64) {
        self.rows.fetch_sub(rows, Ordering::Relaxed);
        self.orphans.fetch_add(rows + dead, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    pub(crate) fn orphans(&self) -> u64 {
        self.orphans.load(Ordering::Relaxed)
    }

    pub(crate) fn dead_number(&self) -> u64 {
        self.next_dead.fetch_add(1, Ordering::Relaxed)
    }

    /// The store failed: nothing is sent any more, because nothing could be remembered of it.
    pub(crate) fn fail(&self, error: &StoreError) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the outbox failed: nothing is sent until it is opened again");
        }
        self.freed.notify_waiters();
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
