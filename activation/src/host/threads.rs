//! The real host: one thread for the store, one task a worker. They only interpret what the steps
//! return.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_event::{Pulse, Pulses};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};

use crate::error::OpenError;
use crate::outbox::{Command, Keeper, Step};
use crate::retry::Answer;
use crate::transport::Transport;
use crate::worker::{Start, Worker};

/// How long the store thread or a worker may work without a beat, in milliseconds.
const BOUND_MS: u64 = 60_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Threads {
    pulses: Pulses,
    runtime: Handle,
    transport: Arc<dyn Transport>,
    stop: watch::Sender<bool>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    keeper: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Threads {
    pub(crate) fn new(transport: Arc<dyn Transport>, pulses: Pulses) -> Result<Self, OpenError> {
        Ok(Self {
            pulses,
            runtime: Handle::try_current().map_err(|_| OpenError::NoRuntime)?,
            transport,
            stop: watch::Sender::new(false),
            workers: Mutex::default(),
            keeper: Mutex::default(),
        })
    }

    pub(crate) fn start_keeper(&self, keeper: Keeper) -> Result<(), OpenError> {
        let pulse = self.pulses.register_temporary("outbox-store", BOUND_MS);
        let thread = std::thread::Builder::new()
            .name("activation-outbox".to_owned())
            .spawn(move || keep(keeper, &pulse))
            .map_err(OpenError::Thread)?;
        *self.keeper.lock() = Some(thread);
        Ok(())
    }

    pub(crate) fn start_worker(&self, worker: Worker, commands: Sender<Command>) {
        let part = format!("destination:{}", worker.destination().plan().name);
        let pulse = self.pulses.register_temporary(part, BOUND_MS);
        let task = Task {
            worker,
            commands,
            transport: Arc::clone(&self.transport),
            requests: JoinSet::new(),
            flights: HashMap::new(),
        };
        let running = self.runtime.spawn(task.run(self.stop.subscribe(), pulse));
        self.workers.lock().push(running);
    }

    pub(crate) async fn stop_workers(&self, patience: Duration) {
        self.stop.send_replace(true);
        let workers = std::mem::take(&mut *self.workers.lock());
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
    }

    pub(crate) async fn stop_keeper(&self) {
        let thread = self.keeper.lock().take();
        let ended = tokio::task::spawn_blocking(|| thread.map(std::thread::JoinHandle::join)).await;
        if let Ok(Some(Err(_panic))) = ended {
            tracing::error!("the outbox thread ended by a panic");
        }
    }
}

fn keep(mut keeper: Keeper, pulse: &Pulse) {
    loop {
        pulse.beat();
        match keeper.step() {
            Step::Again => {}
            Step::Wait => {
                pulse.idle();
                keeper.wait();
            }
            Step::Done => return,
        }
    }
}

/// One worker's task.
struct Task {
    worker: Worker,
    commands: Sender<Command>,
    transport: Arc<dyn Transport>,
    requests: JoinSet<Answer>,
    flights: HashMap<Id, u64>,
}

impl Task {
    /// Runs until `stop` turns true, then finishes what is in flight.
    async fn run(mut self, mut stop: watch::Receiver<bool>, pulse: Pulse) {
        let destination = Arc::clone(self.worker.destination());
        while !*stop.borrow_and_update() && self.worker.may_send() {
            pulse.beat();
            let look = self.worker.look();
            for start in look.starts {
                self.send(start);
            }
            if !self.hand_over(look.commands).await {
                return;
            }
            pulse.idle();
            tokio::select! {
                changed = stop.changed() => if changed.is_err() { return },
                Some(done) = self.requests.join_next_with_id() => self.landed(done).await,
                () = destination.wake.rung() => {}
                () = tokio::time::sleep(look.wait) => {}
            }
        }
        while let Some(done) = self.requests.join_next_with_id().await {
            self.landed(done).await;
        }
    }

    fn send(&mut self, start: Start) {
        let transport = Arc::clone(&self.transport);
        let Start {
            flight,
            request,
            timeout_ms,
            wall,
        } = start;
        let request = async move { transport.send(request, timeout_ms, wall).await };
        let id = self.requests.spawn(request).id();
        self.flights.insert(id, flight);
    }

    async fn landed(&mut self, done: Result<(Id, Answer), JoinError>) {
        let (id, answer) = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "a request ended without an answer");
                (error.id(), Answer::Broken)
            }
        };
        if let Some(flight) = self.flights.remove(&id) {
            let commands = self.worker.landed(flight, answer);
            self.hand_over(commands).await;
        }
    }

    /// False where the store thread is gone.
    async fn hand_over(&self, commands: Vec<Command>) -> bool {
        for command in commands {
            if self.commands.send(command).await.is_err() {
                return false;
            }
        }
        true
    }
}
