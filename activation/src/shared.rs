//! What hand-in, workers and the store thread share: outbox, clock, bounds and row counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::destination::Destination;
use crate::error::StoreError;
use crate::observer::Observer;
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::transport::Transport;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    /// None while the database is opened again.
    outbox: RwLock<Option<Arc<Outbox>>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) transport: Transport,
    /// Held by whoever adds rows to the outbox or loads them: one at a time. Never by a worker.
    pub(crate) writes: Mutex<()>,
    pub(crate) cursor: AtomicU64,
    /// Signalled when rows leave the outbox, and when a destination fails: it is not waited for.
    pub(crate) room: Notify,
    /// Told of attempts, where anybody wants to be.
    pub(crate) observer: OnceLock<Arc<dyn Observer>>,
    rows: AtomicU64,
    orphans: AtomicU64,
    next_dead: AtomicU64,
    failed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        outbox: Outbox,
        clock: Arc<dyn Clock>,
        settings: Settings,
        transport: Transport,
        rows: u64,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            cursor: AtomicU64::new(outbox.cursor()?),
            next_dead: AtomicU64::new(outbox.next_dead_number()?),
            rows: AtomicU64::new(rows),
            orphans: AtomicU64::new(0),
            outbox: RwLock::new(Some(Arc::new(outbox))),
            clock,
            settings,
            transport,
            writes: Mutex::new(()),
            room: Notify::new(),
            observer: OnceLock::new(),
            failed: AtomicBool::new(false),
        })
    }

    pub(crate) fn outbox(&self) -> Result<Arc<Outbox>, StoreError> {
        self.outbox.read().clone().ok_or(StoreError::Closed)
    }

    /// Lets the database go; whoever still works with it ends first.
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
        self.room.notify_waiters();
    }

    /// Rows and dead letters were dropped whose destination is gone.
    pub(crate) fn orphaned(&self, rows: u64, dead: u64) {
        self.rows.fetch_sub(rows, Ordering::Relaxed);
        self.orphans.fetch_add(rows + dead, Ordering::Relaxed);
        self.room.notify_waiters();
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
        self.room.notify_waiters();
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
