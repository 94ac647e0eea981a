//! Takes the steps that threads and tasks take in a running gateway, one at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use tidegate_event::Timestamp;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::{Mutant, ScriptedTransport, Storage};
use crate::activation::Activation;
use crate::clock::Clock;
use crate::error::{OpenError, ReopenError};
use crate::host::Host;
use crate::inner::Parts;
use crate::intent::Intent;
use crate::outbox::{Command, Keeper, Step};
use crate::retry::Answer;
use crate::settings::Settings;
use crate::worker::Worker;

/// The host of a stepped activation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stepped(Arc<Mutex<Stage>>);

#[derive(Debug, Default)]
struct Stage {
    keeper: Option<Keeper>,
    seats: Vec<Seat>,
}

/// A worker and what a task would keep for it.
#[derive(Debug)]
struct Seat {
    worker: Worker,
    commands: Sender<Command>,
    /// Found the channel full: the task would wait.
    outgoing: VecDeque<Command>,
    looks_at: Timestamp,
    flights: Vec<Sent>,
}

/// A request without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Name of its destination.
    pub destination: String,
    /// Names it for [`Engine::answer`], with the destination.
    pub flight: u64,
    /// What it delivers.
    pub change: Intent,
    /// The headers of its request.
    pub headers: HeaderMap,
    /// How long its answer may take.
    pub timeout_ms: u64,
}

impl Sent {
    /// The text of a header; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Seat {
    fn now(&self) -> Timestamp {
        self.worker.now()
    }

    /// True once all commands are with the store thread.
    fn flush(&mut self) -> bool {
        while let Some(command) = self.outgoing.pop_front() {
            match self.commands.try_send(command) {
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(command)) => {
                    self.outgoing.push_front(command);
                    return false;
                }
            }
        }
        true
    }

    fn may_look(&self) -> bool {
        let woken = self.worker.destination().wake.is_rung() || self.now() >= self.looks_at;
        woken && self.worker.may_send()
    }

    fn name(&self) -> String {
        self.worker.destination().plan().name.clone()
    }
}

impl Stepped {
    pub(crate) fn start_keeper(&self, keeper: Keeper) {
        self.0.lock().keeper = Some(keeper);
    }

    pub(crate) fn start_worker(&self, worker: Worker, commands: Sender<Command>) {
        let seat = Seat {
            looks_at: worker.now(),
            worker,
            commands,
            outgoing: VecDeque::new(),
            flights: Vec::new(),
        };
        self.0.lock().seats.push(seat);
    }

    pub(crate) fn stop_workers(&self) {
        self.0.lock().seats.clear();
    }

    pub(crate) fn stop_keeper(&self) {
        if let Some(mut keeper) = self.0.lock().keeper.take() {
            while keeper.step() == Step::Again {}
        }
    }
}

impl Activation {
    /// Opens the outbox in `storage`, with all steps left to the returned engine. `seed` decides the
    /// jitter of retries.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn stepped(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        seed: u64,
    ) -> Result<(Self, Engine), OpenError> {
        let stepped = Stepped::default();
        let activation = Self::with(Parts {
            storage,
            clock,
            settings,
            transport: Arc::new(ScriptedTransport::default()),
            host: Host::Stepped(stepped.clone()),
            seed,
        })?;
        Ok((activation, Engine(stepped)))
    }

    /// [`Activation::close`] without a runtime: requests in flight are given up.
    pub fn close_stepped(&self) {
        let inner = self.inner();
        inner.shared.close();
        if let Host::Stepped(stepped) = &inner.host {
            stepped.stop_workers();
            inner.drop_commands();
            stepped.stop_keeper();
        }
    }

    /// [`Activation::reopen`] of a stepped activation; returns the engine of its new life.
    ///
    /// # Errors
    /// [`ReopenError`]; it stays closed then.
    pub fn reopen_stepped(
        &self,
        storage: Arc<dyn Storage>,
        seed: u64,
    ) -> Result<Engine, ReopenError> {
        let stepped = Stepped::default();
        let transport = Arc::new(ScriptedTransport::default());
        self.exchange(storage, transport, Host::Stepped(stepped.clone()), seed)?;
        Ok(Engine(stepped))
    }

    /// Breaks something on purpose, to show that a simulation finds it.
    pub fn mutate(&self, mutant: Mutant) {
        self.inner().shared.mutate(mutant);
    }
}

/// Takes the steps of one life of a stepped activation.
#[derive(Debug)]
pub struct Engine(Stepped);

impl Engine {
    /// One step of the store thread. [`Step::Wait`] where it has no command.
    pub fn store_step(&mut self) -> Step {
        let stage = &mut *self.0.0.lock();
        let step = stage.keeper.as_mut().map_or(Step::Done, Keeper::step);
        for seat in &mut stage.seats {
            seat.flush();
        }
        step
    }

    /// True where the store thread has a command.
    #[must_use]
    pub fn store_has_work(&self) -> bool {
        let stage = self.0.0.lock();
        stage.keeper.as_ref().is_some_and(Keeper::has_work)
    }

    /// Names of the destinations that have a worker, in the order of their start.
    #[must_use]
    pub fn workers(&self) -> Vec<String> {
        self.0.0.lock().seats.iter().map(Seat::name).collect()
    }

    /// True where a task would look now: it was woken, or its wait is over.
    #[must_use]
    pub fn may_look(&self, destination: &str) -> bool {
        let stage = self.0.0.lock();
        let mut seats = stage.seats.iter();
        seats.any(|seat| seat.name() == destination && seat.outgoing.is_empty() && seat.may_look())
    }

    /// One look of a worker. Returns how many requests it started; None where a task would not look
    /// now.
    pub fn look(&mut self, destination: &str) -> Option<usize> {
        let stage = &mut *self.0.0.lock();
        let mut seats = stage.seats.iter_mut();
        let seat = seats.find(|seat| seat.name() == destination)?;
        if !seat.flush() || !seat.may_look() {
            return None;
        }
        let _woken = seat.worker.destination().wake.take();
        let look = seat.worker.look();
        let wait_ms = i64::try_from(look.wait.as_millis()).unwrap_or(i64::MAX);
        seat.looks_at = seat.now().plus_ms(wait_ms);
        seat.outgoing.extend(look.commands);
        seat.flush();
        let started = look.starts.len();
        for start in look.starts {
            let Some(change) = seat.worker.change(start.flight) else {
                continue;
            };
            seat.flights.push(Sent {
                destination: destination.to_owned(),
                flight: start.flight,
                change,
                headers: start.request.headers().clone(),
                timeout_ms: start.timeout_ms,
            });
        }
        Some(started)
    }

    /// Requests without an answer, in the order in which they were sent to each destination.
    #[must_use]
    pub fn flights(&self) -> Vec<Sent> {
        let stage = self.0.0.lock();
        let flights = stage.seats.iter().flat_map(|seat| &seat.flights);
        flights.cloned().collect()
    }

    /// Answers a request. False where there is no such one.
    pub fn answer(&mut self, destination: &str, flight: u64, answer: Answer) -> bool {
        let stage = &mut *self.0.0.lock();
        let mut seats = stage.seats.iter_mut();
        let Some(seat) = seats.find(|seat| seat.name() == destination) else {
            return false;
        };
        let Some(at) = seat.flights.iter().position(|sent| sent.flight == flight) else {
            return false;
        };
        seat.flights.remove(at);
        let commands = seat.worker.landed(flight, answer);
        seat.outgoing.extend(commands);
        seat.flush();
        // The task looks again after each answer.
        seat.looks_at = seat.now();
        true
    }

    /// How long until a worker looks by itself; zero where one may look now, None where there is
    /// no worker.
    #[must_use]
    pub fn looks_within(&self) -> Option<Duration> {
        let stage = self.0.0.lock();
        let wait = |seat: &Seat| {
            let ms = if seat.worker.destination().wake.is_rung() {
                0
            } else {
                seat.looks_at.since(seat.now()).max(0).unsigned_abs()
            };
            Duration::from_millis(ms)
        };
        let seats = stage.seats.iter();
        seats.filter(|seat| seat.worker.may_send()).map(wait).min()
    }
}
