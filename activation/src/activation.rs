//! The handle that the collector holds: opens the outbox, swaps destinations, takes changes in and
//! stops. What the admin API asks is in [`crate::admin`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fjall::Database;
use parking_lot::{Mutex, RwLock};
use rand::rngs::SmallRng;
use rand::{RngCore as _, SeedableRng as _};
use tidegate_event::Pulses;

use crate::clock::Clock;
use crate::destinations::plans;
use crate::error::{ApplyError, OpenError, ReopenError, StoreError};
use crate::hand_in::hand_in;
use crate::host::{Host, Threads};
use crate::inner::{Inner, Parts};
use crate::intent::Intent;
use crate::mutant::Mutant;
use crate::observer::Observer;
use crate::outbox::storage::{FjallStorage, Storage};
use crate::settings::{DestinationConfig, Settings};
use crate::transport::{HttpTransport, Transport};

/// Takes membership changes in and delivers them. Cheap to clone; when the last handle is dropped
/// without [`Activation::shutdown`], everything stops where it is and resumes at the next open.
#[derive(Clone, Debug)]
pub struct Activation {
    /// Another one after [`Activation::reopen`].
    inner: Arc<RwLock<Arc<Inner>>>,
    /// The newest destinations. Held while they or the outbox are exchanged: a change that comes
    /// during a reopen is in force after it.
    configs: Arc<Mutex<Vec<DestinationConfig>>>,
    pulses: Pulses,
}

/// What a shutdown left for the next start; all of it is in the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Rows in the outbox.
    pub queued: u64,
    /// Requests given up without an answer; they are sent again with the same id.
    pub in_flight: u64,
}

impl Activation {
    /// Opens the outbox in `database` (keyspaces `outbox_*`). Nothing is sent before
    /// [`Activation::set_destinations`].
    ///
    /// # Errors
    /// [`OpenError`]; in particular outside a tokio runtime.
    pub fn open(
        database: Database,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new(&settings)?);
        let pulses = Pulses::default();
        let host = Host::Threads(Threads::new(Arc::clone(&transport), pulses.clone())?);
        let storage = FjallStorage::open(database).map_err(StoreError::from)?;
        let opened = Self::with(Parts {
            storage: Arc::new(storage),
            clock,
            settings,
            transport,
            host,
            seed: fresh_seed(),
        })?;
        Ok(Self { pulses, ..opened })
    }

    pub(crate) fn with(parts: Parts) -> Result<Self, OpenError> {
        let inner = Inner::open(parts)?;
        Ok(Self {
            inner: Arc::new(RwLock::new(Arc::new(inner))),
            configs: Arc::default(),
            pulses: Pulses::default(),
        })
    }

    pub(crate) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner.read())
    }

    /// Ends all work at once and lets the database go, after a write to it failed. What was
    /// answered and not written down yet is sent again, with the same id. Until
    /// [`Activation::reopen`] nothing is sent or taken.
    pub async fn close(&self) {
        self.inner().shared.close();
        self.shutdown(Duration::ZERO).await;
    }

    /// Goes on with what is in `database`, as after a restart, with the newest destinations;
    /// counters begin anew. Blocks while it counts what is stored.
    ///
    /// # Errors
    /// [`ReopenError`]; it stays closed then.
    pub fn reopen(&self, database: Database) -> Result<(), ReopenError> {
        let settings = self.inner().shared.settings.clone();
        let transport: Arc<dyn Transport> =
            Arc::new(HttpTransport::new(&settings).map_err(OpenError::from)?);
        let pulses = self.pulses.clone();
        let host = Host::Threads(Threads::new(Arc::clone(&transport), pulses)?);
        let storage = FjallStorage::open(database);
        let storage = storage.map_err(|error| OpenError::from(StoreError::from(error)))?;
        self.exchange(Arc::new(storage), transport, host, fresh_seed())
    }

    pub(crate) fn exchange(
        &self,
        storage: Arc<dyn Storage>,
        transport: Arc<dyn Transport>,
        host: Host,
        seed: u64,
    ) -> Result<(), ReopenError> {
        let configs = self.configs.lock();
        let before = self.inner();
        let shared = &before.shared;
        let opened = Inner::open(Parts {
            storage,
            clock: shared.clock.given(),
            settings: shared.settings.clone(),
            transport,
            host,
            seed,
        })?;
        if let Some(observer) = shared.observer.get() {
            let _first = opened.shared.observer.set(Arc::clone(observer));
        }
        #[cfg(any(test, feature = "simulation"))]
        if let Some(mutant) = shared.mutated() {
            opened.shared.mutate(mutant);
        }
        let plans = plans(&configs, &shared.settings.allow_private).map_err(ApplyError::from)?;
        opened.apply(plans).map_err(ApplyError::from)?;
        *self.inner.write() = Arc::new(opened);
        shared.freed.notify_waiters();
        Ok(())
    }

    /// The pulses of its store thread and of its workers.
    #[must_use]
    pub fn pulses(&self) -> Pulses {
        self.pulses.clone()
    }

    /// Reports every attempt to `observer` from now on; only the first one given counts.
    pub fn observed_by(&self, observer: Arc<dyn Observer>) {
        let _first = self.inner().shared.observer.set(observer);
    }

    /// Replaces the configuration: all of it, or nothing where anything is invalid. Requests in
    /// flight end as they began. A destination that is no longer listed is disabled; its rows stay
    /// until their deadline and take no other's capacity. When it is listed again, it goes on with
    /// them without any pause. Rows and dead letters of one that is not listed at the next start
    /// are dropped and counted: they could be delivered nowhere.
    ///
    /// While the outbox is closed after a failed write, the configuration is checked and kept for
    /// [`Activation::reopen`]. Blocks for writes of the outbox.
    ///
    /// # Errors
    /// Every invalid value of every destination, or a failed store; then it is in force once the
    /// outbox is open again.
    pub fn set_destinations(&self, configs: &[DestinationConfig]) -> Result<(), ApplyError> {
        let mut newest = self.configs.lock();
        let inner = self.inner();
        let plans = plans(configs, &inner.shared.settings.allow_private)?;
        newest.clear();
        newest.extend_from_slice(configs);
        if inner.shared.has_failed() {
            return Ok(());
        }
        Ok(inner.apply(plans)?)
    }

    /// The next journal offset to hand in; persisted together with the rows.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.inner().shared.cursor.load(Ordering::Acquire)
    }

    /// True where no destination wants any change now: what becomes durable meanwhile need not be
    /// read. Never while the outbox is closed, because destinations may be added meanwhile.
    #[must_use]
    pub fn wants_nothing(&self) -> bool {
        let inner = self.inner();
        let shared = &inner.shared;
        let closed = shared.has_failed() && !shared.is_mutant(Mutant::ClosedWantsNothing);
        !closed && inner.routes().is_empty()
    }

    /// Stores that no destination wants anything of the records before `next_offset`, in one synced
    /// write. Blocks for one fdatasync.
    ///
    /// # Errors
    /// [`StoreError`]: the cursor stays.
    pub fn follow(&self, next_offset: u64) -> Result<(), StoreError> {
        crate::hand_in::follow(&self.inner().shared, next_offset)
    }

    /// Stores the changes of all records before `next_offset` in one synced write, then wakes the
    /// workers. Handing in again what is behind the cursor does nothing. Blocks for one fdatasync.
    ///
    /// Everything below the returned offset is taken. Less than `next_offset` where a destination
    /// is full and delivers: hand in the rest after [`Activation::wait_for_capacity`]. A change that
    /// finds no capacity at all is a dead letter of its destination.
    ///
    /// # Errors
    /// [`StoreError`]: a write failed. The outbox takes nothing more until [`Activation::reopen`].
    pub fn hand_in(&self, batch: &[Intent], next_offset: u64) -> Result<u64, StoreError> {
        let inner = self.inner();
        hand_in(&inner.shared, &inner.routes(), batch, next_offset)
    }

    /// How long to wait at most before the next hand-in gets on; None: not at all.
    #[must_use]
    pub fn capacity_within(&self) -> Option<Duration> {
        let inner = self.inner();
        if inner.shared.has_failed() {
            return None;
        }
        let patience = inner
            .routes()
            .capacity
            .patience_ms(inner.shared.clock.now());
        patience.map(Duration::from_millis)
    }

    /// Returns when another hand-in gets on: no destination is full, or those that are will not
    /// have capacity soon. Within a second or two, whatever the destinations do.
    pub async fn wait_for_capacity(&self) {
        let inner = self.inner();
        loop {
            let freed = inner.shared.freed.notified();
            let Some(patience) = self.capacity_within() else {
                return;
            };
            let _freed_or_over = tokio::time::timeout(patience, freed).await;
        }
    }

    /// True once a write to the outbox failed: nothing is sent or taken until
    /// [`Activation::reopen`].
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.inner().shared.has_failed()
    }

    /// Starts nothing more, waits up to `patience` for answers, writes everything down.
    pub async fn shutdown(&self, patience: Duration) -> Leftover {
        let inner = self.inner();
        inner.host.stop_workers(patience).await;
        let in_flight = inner.in_flight();
        inner.drop_commands();
        inner.host.stop_keeper().await;
        let shared = Arc::clone(&inner.shared);
        // A closed one reported why when it was closed.
        let sync = move || shared.outbox().map_or(Ok(()), |outbox| outbox.persist());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(sync).await {
            tracing::error!(%error, "activation outbox could not be synced");
        }
        Leftover {
            queued: inner.shared.rows(),
            in_flight,
        }
    }
}

fn fresh_seed() -> u64 {
    SmallRng::from_os_rng().next_u64()
}
