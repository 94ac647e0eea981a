//! The handle that the collector holds: opens the outbox, swaps destinations, takes changes in,
//! answers the admin API, stops.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fjall::Database;
use parking_lot::{Mutex, RwLock};
use tidegate_event::Pulses;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::dead_letter::DeadLetter;
use crate::destination::Destination;
use crate::destinations::{Plan, plans};
use crate::error::{AdminError, ApplyError, OpenError, ReopenError, StoreError};
use crate::hand_in::{Routes, hand_in};
use crate::intent::Intent;
use crate::observer::Observer;
use crate::outbox::{Command, DestinationId, Kept, Outbox, run};
use crate::replay::{ReplayReport, ReplayWhich, replay};
use crate::retry::{Answer, FailureKind, Verdict, judge};
use crate::settings::{DestinationConfig, Settings};
use crate::shared::Shared;
use crate::stats::{DestinationStatus, Metrics};
use crate::transport::Transport;
use crate::worker::{Worker, switched_off};

/// Results that wait for the store thread at most; then workers wait.
const COMMANDS_MAX: usize = 4_096;
/// How long its threads and tasks may work without a beat, in milliseconds.
const PULSE_BOUND_MS: u64 = 60_000;

/// Takes membership changes in and delivers them. Cheap to clone; when the last handle is dropped
/// without [`Activation::shutdown`], everything stops where it is and resumes at the next open.
#[derive(Clone, Debug)]
pub struct Activation {
    /// Another one after [`Activation::reopen`].
    inner: Arc<RwLock<Arc<Inner>>>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    runtime: Handle,
    pulses: Pulses,
    stop: watch::Sender<bool>,
    state: Mutex<State>,
    store_thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Debug)]
struct State {
    /// Sorted by name. A destination that left the configuration stays, disabled.
    destinations: Vec<Arc<Destination>>,
    routes: Arc<Routes>,
    workers: Vec<JoinHandle<()>>,
    /// None once shut down.
    commands: Option<mpsc::Sender<Command>>,
    /// Found at start, by destinations that may not be configured yet.
    found: HashMap<DestinationId, Kept>,
}

/// What a shutdown left for the next start; all of it is in the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Rows in the outbox.
    pub queued: u64,
    /// Requests given up without an answer; they are sent again with the same id.
    pub in_flight: u64,
}

/// What a test call found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// Status of the answer, where there was one.
    pub status: Option<u16>,
    /// None: it would have been a delivery.
    pub failure: Option<FailureKind>,
    /// Until the answer.
    pub latency_ms: u64,
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
        let inner = Inner::open(database, clock, settings, Pulses::default())?;
        Ok(Self {
            inner: Arc::new(RwLock::new(Arc::new(inner))),
        })
    }

    fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner.read())
    }

    /// Ends all work at once and lets the database go, after a write to it failed. What was
    /// answered and not written down yet is sent again, with the same id. Until
    /// [`Activation::reopen`] nothing is sent or taken.
    pub async fn close(&self) {
        self.inner().shared.close();
        self.shutdown(Duration::ZERO).await;
    }

    /// Goes on with what is in `database`, as after a restart; counters begin anew.
    ///
    /// # Errors
    /// [`ReopenError`]; it stays closed then.
    pub fn reopen(
        &self,
        database: Database,
        configs: &[DestinationConfig],
    ) -> Result<(), ReopenError> {
        let before = self.inner();
        let shared = &before.shared;
        let (clock, settings) = (Arc::clone(&shared.clock), shared.settings.clone());
        let inner = Inner::open(database, clock, settings, before.pulses.clone())?;
        if let Some(observer) = shared.observer.get() {
            let _first = inner.shared.observer.set(Arc::clone(observer));
        }
        let opened = Self {
            inner: Arc::new(RwLock::new(Arc::new(inner))),
        };
        opened.set_destinations(configs)?;
        *self.inner.write() = opened.inner();
        shared.room.notify_waiters();
        Ok(())
    }

    /// The pulses of its store thread and of its workers.
    #[must_use]
    pub fn pulses(&self) -> Pulses {
        self.inner().pulses.clone()
    }

    /// Tells `observer` of every attempt from now on; only the first one given is told.
    pub fn observed_by(&self, observer: Arc<dyn Observer>) {
        let _first = self.inner().shared.observer.set(observer);
    }

    /// Replaces the configuration: all of it, or nothing where anything is at fault. Requests in
    /// flight end as they began. A destination that is no longer listed is disabled; its rows stay
    /// until their deadline, and take nobody's place. Back again it goes on with them, free of any
    /// pause. Rows and dead letters of one that is not listed at the next start are
    /// dropped and counted: nobody is left to whom they could be delivered.
    ///
    /// # Errors
    /// Every fault of every destination, or a failed store.
    pub fn set_destinations(&self, configs: &[DestinationConfig]) -> Result<(), ApplyError> {
        let inner = self.inner();
        let plans = plans(configs, &inner.shared.settings.allow_private)?;
        let mut state = inner.state.lock();
        let gone = state.destinations.iter().filter(|known| {
            let name = &known.plan().name;
            plans.iter().all(|plan| plan.name != *name)
        });
        for destination in gone.cloned().collect::<Vec<_>>() {
            destination.replan(Plan {
                enabled: false,
                ..Plan::clone(&destination.plan())
            });
        }
        for plan in plans {
            let id = DestinationId::of(&plan.name);
            match state
                .destinations
                .iter()
                .find(|known| known.id == id)
                .cloned()
            {
                Some(known) => {
                    if known.replan(plan) {
                        inner.lift(id)?;
                    }
                }
                None => inner.start(&mut state, id, plan)?,
            }
        }
        state
            .destinations
            .sort_by_cached_key(|destination| destination.plan().name.clone());
        state.routes = Arc::new(Routes::new(&state.destinations, &inner.shared.settings));
        inner.lift_those_that_left(&state)?;
        for (id, Kept { rows, dead }) in std::mem::take(&mut state.found) {
            inner.shared.outbox()?.forget(id)?;
            inner.shared.orphaned(rows, dead);
            tracing::warn!(
                rows,
                dead_letters = dead,
                "callbacks of a destination that is gone were dropped"
            );
        }
        Ok(())
    }

    /// The next journal offset to hand in; persisted together with the rows.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.inner().shared.cursor.load(Ordering::Acquire)
    }

    /// True where no destination wants any change now: what becomes durable meanwhile need not be
    /// read.
    #[must_use]
    pub fn wants_nothing(&self) -> bool {
        self.inner().state.lock().routes.is_empty()
    }

    /// Stores the changes of all records before `next_offset` in one synced write, then wakes the
    /// workers. Handing in again what is behind the cursor does nothing. Blocks for one fdatasync.
    ///
    /// Everything below the returned offset is taken. Less than `next_offset` where a destination
    /// has no room and delivers: hand in the rest after [`Activation::wait_for_room`]. What finds
    /// no place for good is a dead letter of its destination.
    ///
    /// # Errors
    /// [`StoreError`]: the outbox takes nothing more until a restart.
    pub fn hand_in(&self, batch: &[Intent], next_offset: u64) -> Result<u64, StoreError> {
        let inner = self.inner();
        let routes = Arc::clone(&inner.state.lock().routes);
        hand_in(&inner.shared, &routes, batch, next_offset)
    }

    /// Returns when another hand-in gets on: no destination is full, or those that are will not
    /// have room soon. Within a second or two, whatever the destinations do.
    pub async fn wait_for_room(&self) {
        let inner = self.inner();
        let shared = &inner.shared;
        loop {
            let freed = shared.room.notified();
            let routes = Arc::clone(&inner.state.lock().routes);
            let patience_ms = routes.room.patience_ms(shared.clock.now());
            let (Some(patience_ms), false) = (patience_ms, shared.has_failed()) else {
                return;
            };
            let patience = Duration::from_millis(patience_ms);
            let _freed_or_over = tokio::time::timeout(patience, freed).await;
        }
    }

    /// True once the outbox failed: nothing is sent or taken any more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.inner().shared.has_failed()
    }

    /// How every destination is doing, by name.
    #[must_use]
    pub fn list(&self) -> Vec<DestinationStatus> {
        let now = self.inner().shared.clock.now();
        self.inner()
            .destinations()
            .iter()
            .map(|destination| destination.status(now))
            .collect()
    }

    /// Everything that is counted.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let shared = &self.inner().shared;
        let now = shared.clock.now();
        let destinations = self.inner().destinations();
        let of =
            |destination: &Arc<Destination>| destination.stats.snapshot(destination.status(now));
        Metrics {
            destinations: destinations.iter().map(of).collect(),
            outbox_rows: shared.rows(),
            outbox_orphaned: shared.orphans(),
            cursor: self.cursor(),
        }
    }

    /// The newest dead letters of a destination, at most `limit`.
    ///
    /// # Errors
    /// [`AdminError`]
    pub fn dead_letters(&self, name: &str, limit: usize) -> Result<Vec<DeadLetter>, AdminError> {
        let inner = self.inner();
        let destination = inner.find(name)?;
        let outbox = inner.shared.outbox()?;
        let letters = outbox.dead(destination.id).take(limit);
        let listed = letters.map(|letter| letter.map(|(id, row)| row.listed(id, name)));
        Ok(listed.collect::<Result<_, StoreError>>()?)
    }

    /// Queues dead letters again, rendered afresh, with the id they always had.
    ///
    /// # Errors
    /// [`AdminError`]
    pub fn replay(&self, name: &str, which: ReplayWhich) -> Result<ReplayReport, AdminError> {
        let inner = self.inner();
        let destination = inner.find(name)?;
        let routes = Arc::clone(&inner.state.lock().routes);
        Ok(replay(&inner.shared, &routes.room, &destination, which)?)
    }

    /// Lifts any pause of a destination, a 410's too.
    ///
    /// # Errors
    /// [`AdminError`]
    pub fn enable(&self, name: &str) -> Result<(), AdminError> {
        let inner = self.inner();
        let destination = inner.find(name)?;
        if !destination.plan().enabled {
            return Err(AdminError::Left);
        }
        destination.control.lock().breaker.enable();
        inner.lift(destination.id)?;
        destination.wake.notify_one();
        tracing::info!(destination = name, "enabled");
        Ok(())
    }

    /// Sends one signed test call (`type` `tidegate.test`), past queue and limits.
    ///
    /// # Errors
    /// [`AdminError::UnknownDestination`]
    pub async fn test(&self, name: &str) -> Result<TestReport, AdminError> {
        let destination = self.inner().find(name)?;
        let shared = &self.inner().shared;
        let plan = destination.plan();
        let sent_at = shared.clock.now();
        let request = plan.test_request(sent_at);
        let answer = shared
            .transport
            .send(request, plan.limits.timeout_ms, sent_at)
            .await;
        let latency_ms = shared.clock.now().since(sent_at).max(0).unsigned_abs();
        let status = match answer {
            Answer::Status { code, .. } => Some(code),
            Answer::Timeout | Answer::Connect | Answer::Blocked | Answer::Broken => None,
        };
        let failure = match judge(answer) {
            Verdict::Delivered => None,
            Verdict::Retry { kind, .. } | Verdict::Permanent(kind) => Some(kind),
            Verdict::Auth => Some(FailureKind::Auth),
            Verdict::Gone => Some(FailureKind::Gone),
        };
        Ok(TestReport {
            status,
            failure,
            latency_ms,
        })
    }

    /// Starts nothing more, waits up to `patience` for answers, writes everything down.
    pub async fn shutdown(&self, patience: Duration) -> Leftover {
        let inner = self.inner();
        inner.stop.send_replace(true);
        let workers = std::mem::take(&mut inner.state.lock().workers);
        let deadline = tokio::time::Instant::now() + patience;
        for mut worker in workers {
            if tokio::time::timeout_at(deadline, &mut worker)
                .await
                .is_err()
            {
                worker.abort();
                // Its channel end must be gone before the store thread can end.
                let _aborted = worker.await;
            }
        }
        let destinations = inner.destinations();
        let in_flight = destinations
            .iter()
            .map(|one| one.in_flight.load(Ordering::Relaxed) as u64)
            .sum();
        inner.state.lock().commands = None;
        let thread = inner.store_thread.lock().take();
        let shared = Arc::clone(&inner.shared);
        let close = move || {
            if let Some(thread) = thread {
                let _ended = thread.join();
            }
            // Closed, it told so before.
            shared.outbox().map_or(Ok(()), |outbox| outbox.persist())
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(close).await {
            tracing::error!(%error, "activation outbox could not be synced");
        }
        Leftover {
            queued: inner.shared.rows(),
            in_flight,
        }
    }
}

impl State {
    fn is_configured(&self, id: DestinationId) -> bool {
        let mut all = self.destinations.iter();
        all.any(|one| one.id == id && one.plan().enabled)
    }
}

impl Inner {
    /// Opens the outbox and starts its thread; no destination has a worker yet.
    fn open(
        database: Database,
        clock: Arc<dyn Clock>,
        settings: Settings,
        pulses: Pulses,
    ) -> Result<Self, OpenError> {
        let runtime = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        let transport = Transport::new(&settings)?;
        let outbox = Outbox::open(database)?;
        let found = outbox.kept()?;
        let rows = found.values().map(|kept| kept.rows).sum();
        let shared = Arc::new(Shared::new(outbox, clock, settings, transport, rows)?);
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let pulse = pulses.register_temporary("outbox-store", PULSE_BOUND_MS);
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("activation-outbox".to_owned())
                .spawn(move || {
                    let _until_the_end = pulse;
                    run(&shared, receiver);
                })
                .map_err(OpenError::Thread)?
        };
        let state = State {
            destinations: Vec::new(),
            routes: Arc::default(),
            workers: Vec::new(),
            commands: Some(commands),
            found,
        };
        Ok(Self {
            shared,
            runtime,
            pulses,
            stop: watch::Sender::new(false),
            state: Mutex::new(state),
            store_thread: Mutex::new(Some(thread)),
        })
    }

    fn destinations(&self) -> Vec<Arc<Destination>> {
        self.state.lock().destinations.clone()
    }

    fn find(&self, name: &str) -> Result<Arc<Destination>, AdminError> {
        let id = DestinationId::of(name);
        let state = self.state.lock();
        let found = state
            .destinations
            .iter()
            .find(|destination| destination.id == id);
        found.cloned().ok_or(AdminError::UnknownDestination)
    }

    fn lift(&self, id: DestinationId) -> Result<(), StoreError> {
        let outbox = self.shared.outbox()?;
        let mut write = outbox.write();
        write.set_disabled(id, None);
        write.commit()
    }

    /// A 410's pause ends with the destination: back one day, it starts as a new one does.
    fn lift_those_that_left(&self, state: &State) -> Result<(), StoreError> {
        // Closed, it is looked through when it is opened again.
        let Ok(outbox) = self.shared.outbox() else {
            return Ok(());
        };
        let mut left = outbox.all_disabled()?;
        left.retain(|id| !state.is_configured(*id));
        left.into_iter().try_for_each(|id| self.lift(id))
    }

    fn start(&self, state: &mut State, id: DestinationId, plan: Plan) -> Result<(), StoreError> {
        let Some(commands) = state.commands.clone() else {
            return Ok(());
        };
        let shared = &self.shared;
        let disabled = shared.outbox()?.disabled(id)? == Some(plan.fingerprint());
        let name = plan.name.clone();
        let destination = Arc::new(Destination::new(id, plan, shared.settings.resident_max));
        if disabled {
            destination.control.lock().breaker.disable();
            switched_off(&destination.plan().name);
        }
        let Kept { rows, dead } = state.found.remove(&id).unwrap_or_default();
        destination.rows.store(rows, Ordering::Relaxed);
        destination.dead.store(dead, Ordering::Relaxed);
        state.destinations.push(Arc::clone(&destination));
        let worker = Worker::new(Arc::clone(shared), destination, commands);
        let part = format!("destination:{name}");
        let pulse = self.pulses.register_temporary(part, PULSE_BOUND_MS);
        let run = worker.run(self.stop.subscribe());
        state.workers.push(self.runtime.spawn(async move {
            let _until_the_end = pulse;
            run.await;
        }));
        Ok(())
    }
}
