//! One life of the outbox, from its opening to its end or to a failed write: its destinations and
//! the host that runs their workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngCore as _, SeedableRng as _};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::destination::Destination;
use crate::destinations::Plan;
use crate::error::{AdminError, OpenError, StoreError};
use crate::hand_in::Routes;
use crate::host::Host;
use crate::outbox::storage::{Durability, Storage};
use crate::outbox::{Command, DestinationId, Keeper, Kept, Outbox};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::transport::Transport;
use crate::worker::{Worker, switched_off};

/// Results that wait for the store thread at most; then workers wait.
const COMMANDS_MAX: usize = 4_096;

/// What it is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) host: Host,
    /// Of the jitter of retries.
    pub(crate) seed: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) host: Host,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Sorted by name. A destination that left the configuration stays, disabled.
    destinations: Vec<Arc<Destination>>,
    routes: Arc<Routes>,
    /// None once shut down.
    commands: Option<mpsc::Sender<Command>>,
    /// Found at start, by destinations that may not be configured yet.
    found: BTreeMap<DestinationId, Kept>,
    seeds: SmallRng,
}

impl State {
    fn is_configured(&self, id: DestinationId) -> bool {
        let mut all = self.destinations.iter();
        all.any(|one| one.id == id && one.plan().enabled)
    }

    fn find(&self, id: DestinationId) -> Option<Arc<Destination>> {
        let mut all = self.destinations.iter();
        all.find(|destination| destination.id == id).cloned()
    }
}

impl Inner {
    /// Opens the outbox and starts its thread; no destination has a worker yet.
    pub(crate) fn open(parts: Parts) -> Result<Self, OpenError> {
        let outbox = Outbox::open(parts.storage)?;
        let found = outbox.kept()?;
        let rows = found.values().map(|kept| kept.rows).sum();
        let shared = Shared::new(outbox, parts.clock, parts.settings, parts.transport, rows)?;
        let shared = Arc::new(shared);
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        parts
            .host
            .start_keeper(Keeper::new(Arc::clone(&shared), receiver))?;
        let state = State {
            destinations: Vec::new(),
            routes: Arc::default(),
            commands: Some(commands),
            found,
            seeds: SmallRng::seed_from_u64(parts.seed),
        };
        Ok(Self {
            shared,
            host: parts.host,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn destinations(&self) -> Vec<Arc<Destination>> {
        self.state.lock().destinations.clone()
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.state.lock().routes)
    }

    pub(crate) fn find(&self, name: &str) -> Result<Arc<Destination>, AdminError> {
        let found = self.state.lock().find(DestinationId::of(name));
        found.ok_or(AdminError::UnknownDestination)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        let destinations = self.destinations();
        let of = |one: &Arc<Destination>| one.in_flight.load(Ordering::Relaxed) as u64;
        destinations.iter().map(of).sum()
    }

    /// Lets the store thread end once the workers have.
    pub(crate) fn drop_commands(&self) {
        self.state.lock().commands = None;
    }

    /// Puts checked destinations in force.
    pub(crate) fn apply(&self, plans: Vec<Plan>) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        disable_missing(&state, &plans);
        for plan in plans {
            let id = DestinationId::of(&plan.name);
            let Some(known) = state.find(id) else {
                self.start(&mut state, id, plan)?;
                continue;
            };
            if known.replan(plan) {
                self.lift(id)?;
            }
        }
        state
            .destinations
            .sort_by_cached_key(|destination| destination.plan().name.clone());
        state.routes = Arc::new(Routes::new(&state.destinations, &self.shared.settings));
        self.lift_those_that_left(&state)?;
        self.forget_missing(&mut state)
    }

    /// Drops what is stored for destinations that are gone since the outbox was opened.
    fn forget_missing(&self, state: &mut State) -> Result<(), StoreError> {
        let outbox = self.shared.outbox()?;
        while let Some((
            &id,
            Kept {
                rows, dead_letters, ..
            },
        )) = state.found.first_key_value()
        {
            let (rows, dead) = (*rows, dead_letters.count());
            loop {
                let write = outbox.forget_some(id)?;
                if write.is_empty() {
                    break;
                }
                self.shared.commit(write, Durability::Buffered)?;
            }
            state.found.remove(&id);
            self.shared.orphaned(rows, dead);
            tracing::warn!(
                rows,
                dead_letters = dead,
                "callbacks of a destination that is gone were dropped"
            );
        }
        Ok(())
    }

    /// Forgets that a destination answered 410.
    pub(crate) fn lift(&self, id: DestinationId) -> Result<(), StoreError> {
        let outbox = self.shared.outbox()?;
        let mut write = outbox.write();
        write.set_disabled(id, None);
        self.shared.commit(write, Durability::Buffered)
    }

    /// A 410's pause ends with the destination: listed again one day, it starts as a new one does.
    fn lift_those_that_left(&self, state: &State) -> Result<(), StoreError> {
        let mut left = self.shared.outbox()?.all_disabled()?;
        left.retain(|id| !state.is_configured(*id));
        left.into_iter().try_for_each(|id| self.lift(id))
    }

    fn start(&self, state: &mut State, id: DestinationId, plan: Plan) -> Result<(), StoreError> {
        let Some(commands) = state.commands.clone() else {
            return Err(StoreError::Closed);
        };
        let shared = &self.shared;
        let disabled = shared.outbox()?.disabled(id)? == Some(plan.fingerprint());
        let kept = state.found.remove(&id).unwrap_or_default();
        let resident_max = shared.settings.resident_max;
        let destination = Arc::new(Destination::new(id, plan, resident_max, kept));
        if disabled {
            destination.control.lock().breaker.disable();
            switched_off(&destination.plan().name);
        }
        state.destinations.push(Arc::clone(&destination));
        let seed = state.seeds.next_u64();
        let worker = Worker::new(Arc::clone(shared), destination, seed);
        self.host.start_worker(worker, commands);
        Ok(())
    }
}

fn disable_missing(state: &State, plans: &[Plan]) {
    for known in &state.destinations {
        let plan = known.plan();
        if plans.iter().all(|other| other.name != plan.name) {
            known.replan(plan.disabled());
        }
    }
}
