//! The worker of one destination: starts what is due and allowed, and turns answers into what is
//! next. Storage is another thread's work; a worker never waits for a disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tidegate_event::Timestamp;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use crate::dead_letter::DeadReason;
use crate::destination::Destination;
use crate::destinations::Plan;
use crate::intent::{Attempted, Key, Row};
use crate::observer::{Attempt, outcome};
use crate::outbox::{Command, Ending, Settlement};
use crate::queue::DueChange;
use crate::retry::{Answer, FailureKind, Step, Verdict, judge, next_step};
use crate::shared::Shared;
use crate::stats::count;

/// Longest sleep without a look at the queue: the wall clock may have been set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Rows buried in one look at most.
const EXPIRED_MAX: usize = 256;

/// See the module.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    destination: Arc<Destination>,
    commands: Sender<Command>,
    flights: JoinSet<Answer>,
    rows: HashMap<Id, Flight>,
    random: SmallRng,
}

/// A request without an answer yet.
struct Flight {
    key: Key,
    row: Row,
    sent_at: Timestamp,
}

/// What one look at the queue found.
struct Look {
    /// Sleep at most this long.
    wait: Duration,
    /// For the store thread.
    commands: Vec<Command>,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        destination: Arc<Destination>,
        commands: Sender<Command>,
    ) -> Self {
        Self {
            shared,
            destination,
            commands,
            flights: JoinSet::new(),
            rows: HashMap::new(),
            random: SmallRng::from_os_rng(),
        }
    }

    /// Runs until `stop` says so, then finishes what is in flight.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow_and_update() && !self.shared.has_failed() {
            let look = self.look();
            if !self.tell(look.commands).await {
                return;
            }
            tokio::select! {
                changed = stop.changed() => if changed.is_err() { return },
                Some(done) = self.flights.join_next_with_id() => self.landed(done).await,
                () = self.destination.wake.notified() => {}
                () = tokio::time::sleep(look.wait) => {}
            }
        }
        while let Some(done) = self.flights.join_next_with_id().await {
            self.landed(done).await;
        }
    }

    /// Starts all that is due and allowed now.
    fn look(&mut self) -> Look {
        let plan = self.destination.plan();
        let mut commands = Vec::new();
        let mut buried = 0;
        let wait = loop {
            let now = self.shared.clock.now();
            match self.may_start(&plan, now) {
                Ok(()) => {}
                Err(wait) => {
                    commands.extend(self.bury_expired(&plan, now));
                    break wait;
                }
            }
            let Some((key, row)) = self.destination.queue.lock().take(now) else {
                break LOOK_AGAIN;
            };
            match self.check(&plan, &row, now) {
                Ok(request) => self.start(&plan, key, row, request, now),
                Err(reason) => {
                    buried += 1;
                    commands.push(self.bury(key, row, reason, now));
                    if buried == EXPIRED_MAX {
                        break Duration::ZERO;
                    }
                }
            }
        };
        let now = self.shared.clock.now();
        if self.destination.queue.lock().wants_refill(now) {
            commands.push(Command::Refill(Arc::clone(&self.destination)));
        }
        Look {
            wait: wait.min(LOOK_AGAIN),
            commands,
        }
    }

    /// May one request start, or how long to wait before asking again? Takes a token if so.
    fn may_start(&self, plan: &Plan, now: Timestamp) -> Result<(), Duration> {
        if !plan.enabled {
            return Err(LOOK_AGAIN);
        }
        let (due, outside) = {
            let queue = self.destination.queue.lock();
            (queue.next_due(), queue.outside_due())
        };
        let until = |at: Timestamp| Duration::from_millis(at.since(now).max(1).unsigned_abs());
        match due {
            Some(due) if due <= now => {}
            // Keys outside memory that are due now are the refill's work, which wakes us.
            _ => {
                let later = outside.filter(|at| *at > now);
                return Err(due.into_iter().chain(later).min().map_or(LOOK_AGAIN, until));
            }
        }
        let in_flight = self.flights.len();
        let mut control = self.destination.control.lock();
        if !control.width.allows(in_flight) {
            return Err(LOOK_AGAIN);
        }
        if !control.breaker.admits(now, in_flight) {
            let again = control.breaker.opens_again().filter(|at| *at > now);
            return Err(again.map_or(LOOK_AGAIN, until));
        }
        control.rate.take()
    }

    fn check(
        &self,
        plan: &Plan,
        row: &Row,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, DeadReason> {
        if is_expired(plan, row, now) {
            return Err(DeadReason::Expired);
        }
        let signed_at = self.shared.clock.wall();
        plan.request(row, signed_at)
            .map_err(|_| DeadReason::TooLarge)
    }

    fn start(
        &mut self,
        plan: &Plan,
        key: Key,
        row: Row,
        request: Request<Full<Bytes>>,
        now: Timestamp,
    ) {
        count(&self.destination.stats.attempts);
        let shared = Arc::clone(&self.shared);
        let timeout_ms = plan.limits.timeout_ms;
        let task = async move { shared.transport.send(request, timeout_ms, now).await };
        let id = self.flights.spawn(task).id();
        self.rows.insert(
            id,
            Flight {
                key,
                row,
                sent_at: now,
            },
        );
        self.destination
            .in_flight
            .store(self.flights.len(), Ordering::Relaxed);
    }

    /// While nothing may be sent, deadlines still pass.
    fn bury_expired(&self, plan: &Plan, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        let expired = |row: &Row| is_expired(plan, row, now);
        while commands.len() < EXPIRED_MAX {
            let taken = self.destination.queue.lock().take_if(now, expired);
            let Some((key, row)) = taken else { break };
            commands.push(self.bury(key, row, DeadReason::Expired, now));
        }
        commands
    }

    fn bury(&self, key: Key, row: Row, reason: DeadReason, now: Timestamp) -> Command {
        let offset = row.intent.offset;
        let due = self.destination.queue.lock().finish_removed(&key);
        let ending = Ending::Dead(self.destination.bury(row, reason, now));
        self.settlement(key, offset, due, None, ending)
    }

    async fn landed(&mut self, done: Result<(Id, Answer), tokio::task::JoinError>) {
        let (id, answer) = match done {
            Ok(done) => done,
            Err(error) => (error.id(), Answer::Broken),
        };
        self.destination
            .in_flight
            .store(self.flights.len(), Ordering::Relaxed);
        let Some(flight) = self.rows.remove(&id) else {
            return;
        };
        let commands = self.conclude(flight, answer);
        self.tell(commands).await;
    }

    fn conclude(&mut self, flight: Flight, answer: Answer) -> Vec<Command> {
        let Flight {
            key,
            mut row,
            sent_at,
        } = flight;
        let now = self.shared.clock.now();
        let plan = self.destination.plan();
        let verdict = judge(answer);
        self.observe(&plan, &row, verdict, sent_at, now);
        if let Some(observer) = self.shared.observer.get() {
            let (status, failure) = outcome(answer);
            observer.attempted(&Attempt {
                destination: &plan.name,
                resent: row.attempts,
                sent_at,
                ended_at: now,
                status,
                failure,
            });
        }
        row.attempts = row.attempts.saturating_add(1);
        row.last_status = match answer {
            Answer::Status { code, .. } => Some(code),
            Answer::Timeout | Answer::Connect | Answer::Blocked | Answer::Broken => None,
        };
        let offset = row.intent.offset;
        let attempted = Attempted {
            epoch: row.intent.epoch,
            offset,
            at: now,
        };
        let (due, ending) = self.end(&plan, key, row, verdict, now);
        let mut commands = vec![self.settlement(key, offset, due, Some(attempted), ending)];
        if verdict == Verdict::Gone {
            switched_off(&plan.name);
            commands.push(Command::Disable(Arc::clone(&self.destination)));
        } else if verdict == Verdict::Auth {
            tracing::warn!(destination = plan.name, "refuses our credentials: paused");
        }
        commands
    }

    fn end(
        &mut self,
        plan: &Plan,
        key: Key,
        row: Row,
        verdict: Verdict,
        now: Timestamp,
    ) -> (DueChange, Ending) {
        let not_before = match verdict {
            Verdict::Delivered => {
                return (
                    self.destination.queue.lock().finish_removed(&key),
                    Ending::Delivered,
                );
            }
            Verdict::Permanent(_) => return self.end_dead(key, row, DeadReason::Refused, now),
            Verdict::Retry { not_before, .. } => not_before,
            // The pause is the destination's; the item goes first when it ends.
            Verdict::Auth | Verdict::Gone => Some(now),
        };
        let random = self.random.random::<f64>();
        match next_step(
            &plan.retry,
            row.queued_at,
            row.attempts,
            not_before,
            now,
            random,
        ) {
            Step::At(due) => {
                let change = self
                    .destination
                    .queue
                    .lock()
                    .finish_parked(&key, row.clone(), due);
                (change, Ending::Parked(row))
            }
            Step::GiveUp => self.end_dead(key, row, DeadReason::Expired, now),
        }
    }

    fn end_dead(
        &self,
        key: Key,
        row: Row,
        reason: DeadReason,
        now: Timestamp,
    ) -> (DueChange, Ending) {
        let due = self.destination.queue.lock().finish_removed(&key);
        (due, Ending::Dead(self.destination.bury(row, reason, now)))
    }

    /// Counts, and lets breaker and width learn.
    fn observe(
        &self,
        plan: &Plan,
        row: &Row,
        verdict: Verdict,
        sent_at: Timestamp,
        now: Timestamp,
    ) {
        let stats = &self.destination.stats;
        stats.attempt_latency.record(now.since(sent_at));
        let failure = match verdict {
            Verdict::Delivered => None,
            Verdict::Retry { kind, .. } | Verdict::Permanent(kind) => Some(kind),
            Verdict::Auth => Some(FailureKind::Auth),
            Verdict::Gone => Some(FailureKind::Gone),
        };
        let mut control = self.destination.control.lock();
        control.breaker.record(verdict, &plan.retry, now);
        control.last_error = failure;
        match failure {
            None | Some(FailureKind::Refused) => control.width.succeeded(),
            Some(_) => control.width.overloaded(),
        }
        drop(control);
        match failure {
            Some(kind) => {
                stats.failed(kind);
                self.shared.room.notify_waiters();
            }
            None => {
                count(&stats.delivered);
                stats
                    .change_latency
                    .record(now.since(row.intent.occurred_at));
            }
        }
    }

    fn settlement(
        &self,
        key: Key,
        offset: u64,
        due: DueChange,
        attempted: Option<Attempted>,
        ending: Ending,
    ) -> Command {
        let destination = Arc::clone(&self.destination);
        Command::Settle(Box::new(Settlement {
            destination,
            key,
            offset,
            due,
            attempted,
            ending,
        }))
    }

    /// False where the store thread is gone.
    async fn tell(&self, commands: Vec<Command>) -> bool {
        for command in commands {
            if self.commands.send(command).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Says that a destination gets nothing any more, and what to do about it.
pub(crate) fn switched_off(destination: &str) {
    tracing::warn!(
        destination,
        "answered 410 Gone and is switched off: its changes wait. Mend the receiver, then run \
         `tidegate destinations enable {destination}`"
    );
}

fn is_expired(plan: &Plan, row: &Row, now: Timestamp) -> bool {
    let age = u64::try_from(now.since(row.queued_at)).unwrap_or(0);
    age > plan.retry.max_age_ms
}
