//! The worker of one destination, as steps: decides what is due and allowed, and turns answers into
//! what is next. It sends nothing and stores nothing itself: its host does both by what it returns.

mod landed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tidegate_event::Timestamp;

use crate::dead_letter::DeadReason;
use crate::destination::Destination;
use crate::destinations::Plan;
use crate::intent::{Attempted, Key, Row};
use crate::outbox::{Command, Ending, Settlement};
use crate::queue::DueChange;
use crate::shared::Shared;
use crate::stats::count;

/// Longest wait without a look at the queue: deadlines pass while nothing may be sent.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Rows dead-lettered in one look at most.
const EXPIRED_MAX: usize = 256;
/// Requests started in one look at most.
const STARTS_MAX: usize = 256;
/// How often dead letters that are too old are looked for, milliseconds.
const AGED_EVERY_MS: i64 = 60_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    destination: Arc<Destination>,
    flights: BTreeMap<u64, Flight>,
    next_flight: u64,
    random: SmallRng,
    aged_at: Timestamp,
}

/// A request without an answer yet.
#[derive(Debug)]
struct Flight {
    key: Key,
    row: Row,
    sent_at: Timestamp,
}

/// A request to send now.
#[derive(Debug)]
pub(crate) struct Start {
    /// Names it for [`Worker::landed`].
    pub(crate) flight: u64,
    pub(crate) request: Request<Full<Bytes>>,
    pub(crate) timeout_ms: u64,
    /// The wall clock when it was signed.
    pub(crate) wall: Timestamp,
}

/// What one look at the queue found.
#[derive(Debug)]
pub(crate) struct Look {
    /// Look again after this long, unless rung or answered before.
    pub(crate) wait: Duration,
    /// For the store thread, in this order.
    pub(crate) commands: Vec<Command>,
    pub(crate) starts: Vec<Start>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, destination: Arc<Destination>, seed: u64) -> Self {
        let aged_at = shared.clock.now();
        Self {
            shared,
            destination,
            flights: BTreeMap::new(),
            next_flight: 0,
            random: SmallRng::seed_from_u64(seed),
            aged_at,
        }
    }

    pub(crate) fn destination(&self) -> &Arc<Destination> {
        &self.destination
    }

    /// False once the outbox failed: nothing could be remembered of a request.
    pub(crate) fn may_send(&self) -> bool {
        !self.shared.has_failed()
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// What a request delivers.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn change(&self, flight: u64) -> Option<crate::intent::Intent> {
        let flight = self.flights.get(&flight);
        flight.map(|flight| flight.row.intent.clone())
    }

    /// Chooses all that is due and allowed now.
    pub(crate) fn look(&mut self) -> Look {
        let plan = self.destination.plan();
        let mut look = Look {
            wait: LOOK_AGAIN,
            commands: Vec::new(),
            starts: Vec::new(),
        };
        look.wait = self.start_due(&plan, &mut look).min(LOOK_AGAIN);
        let now = self.shared.clock.now();
        if now >= self.aged_at {
            self.aged_at = now.plus_ms(AGED_EVERY_MS);
            let destination = Arc::clone(&self.destination);
            look.commands.push(Command::DropAged(destination));
        }
        if self.destination.queue.lock().wants_refill(now) {
            let destination = Arc::clone(&self.destination);
            look.commands.push(Command::Refill(destination));
        }
        look
    }

    /// Returns how long to wait before the next look.
    fn start_due(&mut self, plan: &Plan, look: &mut Look) -> Duration {
        let mut dead = 0;
        loop {
            let now = self.shared.clock.now();
            if let Err(wait) = self.may_start(plan, now) {
                let expired = self.dead_letter_expired(plan, now);
                let all = expired.len() < EXPIRED_MAX;
                look.commands.extend(expired);
                return if all { wait } else { Duration::ZERO };
            }
            let Some((key, row)) = self.destination.queue.lock().take(now) else {
                return LOOK_AGAIN;
            };
            let wall = self.shared.clock.wall();
            match check(plan, &row, now, wall) {
                Ok(request) => {
                    let flight = self.fly(key, row, now);
                    look.starts.push(Start {
                        flight,
                        request,
                        timeout_ms: plan.limits.timeout_ms,
                        wall,
                    });
                }
                Err(reason) => {
                    dead += 1;
                    look.commands.push(self.dead_letter(key, row, reason, now));
                }
            }
            if dead == EXPIRED_MAX || look.starts.len() == STARTS_MAX {
                return Duration::ZERO;
            }
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
        control.rate.take(now)
    }

    fn fly(&mut self, key: Key, row: Row, sent_at: Timestamp) -> u64 {
        count(&self.destination.stats.attempts);
        let flight = self.next_flight;
        self.next_flight += 1;
        self.flights.insert(flight, Flight { key, row, sent_at });
        self.count_flights();
        flight
    }

    fn count_flights(&self) {
        let in_flight = self.flights.len();
        self.destination
            .in_flight
            .store(in_flight, Ordering::Relaxed);
    }

    /// While nothing may be sent, deadlines still pass.
    fn dead_letter_expired(&self, plan: &Plan, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        let expired = |row: &Row| is_expired(plan, row, now);
        while commands.len() < EXPIRED_MAX {
            let taken = self.destination.queue.lock().take_if(now, expired);
            let Some((key, row)) = taken else { break };
            commands.push(self.dead_letter(key, row, DeadReason::Expired, now));
        }
        commands
    }

    fn dead_letter(&self, key: Key, row: Row, reason: DeadReason, now: Timestamp) -> Command {
        let offset = row.intent.offset();
        let due = self.destination.queue.lock().finish_removed(&key);
        let ending = Ending::Dead(self.destination.dead_letter(row, reason, now));
        self.settlement(key, offset, due, None, ending)
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
}

fn check(
    plan: &Plan,
    row: &Row,
    now: Timestamp,
    wall: Timestamp,
) -> Result<Request<Full<Bytes>>, DeadReason> {
    if is_expired(plan, row, now) {
        return Err(DeadReason::Expired);
    }
    plan.request(row, wall).map_err(|_| DeadReason::TooLarge)
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
