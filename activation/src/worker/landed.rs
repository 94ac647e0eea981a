//! What becomes of a row once its request was answered.

use std::sync::Arc;

use rand::Rng as _;
use tidegate_event::Timestamp;

use super::{Flight, Worker, switched_off};
use crate::breaker::BreakerState;
use crate::dead_letter::DeadReason;
use crate::destinations::Plan;
use crate::intent::{Attempted, Key, Row};
use crate::mutant::Mutant;
use crate::observer::{Attempt, outcome};
use crate::outbox::{Command, Ending};
use crate::queue::DueChange;
use crate::retry::{Answer, FailureKind, Step, Verdict, next_step};
use crate::stats::count;

impl Worker {
    /// Takes the answer of a flight in. Returns commands for the store thread, in this order.
    pub(crate) fn landed(&mut self, flight: u64, answer: Answer) -> Vec<Command> {
        let landed = self.flights.remove(&flight);
        self.count_flights();
        let Some(Flight {
            key,
            mut row,
            sent_at,
        }) = landed
        else {
            return Vec::new();
        };
        let now = self.shared.clock.now();
        let plan = self.destination.plan();
        let verdict = plan.judge(answer, now);
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
        let offset = row.intent.offset();
        let attempted = Attempted {
            epoch: row.intent.epoch(),
            offset,
            at: now,
        };
        let (due, ending) = self.end(&plan, key, row, verdict, now);
        let forgotten = self.shared.is_mutant(Mutant::RetryForgotten);
        if forgotten && let Ending::Parked(_) = ending {
            return Vec::new();
        }
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
        (
            due,
            Ending::Dead(self.destination.dead_letter(row, reason, now)),
        )
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
        let delivered = control.breaker.state() == BreakerState::Closed;
        control.breaker.record(verdict, &plan.retry, now);
        let delivers = control.breaker.state() == BreakerState::Closed;
        control.last_error = failure;
        match failure {
            None | Some(FailureKind::Refused) => control.width.succeeded(),
            Some(_) => control.width.overloaded(),
        }
        drop(control);
        match verdict {
            Verdict::Retry { kind, .. } if delivered && !delivers => paused(&plan.name, kind),
            _ if delivers && !delivered => {
                tracing::info!(destination = plan.name, "answers again: changes are sent");
            }
            _ => {}
        }
        match failure {
            Some(kind) => {
                stats.failed(kind);
                self.shared.freed.notify_waiters();
            }
            None => {
                count(&stats.delivered);
                stats
                    .change_latency
                    .record(now.since(row.intent.head().occurred_at));
            }
        }
    }
}

/// Logged once, until it answers again: the tries in between say nothing new.
fn paused(destination: &str, failure: FailureKind) {
    tracing::warn!(
        destination,
        reason = failure.as_str(),
        "fails: its changes wait, and it is tried again after a pause. \
         `tidegate destinations list` shows how many wait"
    );
}
