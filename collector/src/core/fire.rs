//! Timers: session ends and wake-ups become records like any hit, within a capped share of the
//! journal. With no space they wait; none is dropped.

use tidegate_event::{ProfileId, Timestamp};

use super::Refused;
use super::decider::Decider;
use super::state::State;
use super::step::Step;
use super::timers::Entry;
use crate::profile::OptionalTime;
use crate::profile::live::{Live, Shared};
use crate::profile::store::StoreError;

/// Things due for one profile that are fired before others get their turn.
const PER_PROFILE_MAX: usize = 16;

/// A profile whose row could not be read is tried again after this long, milliseconds.
const RETRY_MS: i64 = 10_000;
/// Rows that cannot be read before a call gives up: then it is not the rows.
const FAILURES_MAX: usize = 4;

/// Why nothing was written for a profile.
enum Unfired {
    /// Its own rows do not parse: the others go on.
    Unreadable(StoreError),
    /// They could not be read this time: the others go on, and it comes again.
    Failed(StoreError),
    /// Nothing can be written now.
    Refused(Refused),
}

/// What is due.
enum Due {
    SessionEnd(usize),
    WakeUp(Timestamp),
}

/// Fires timers: on this state, by the rules in force.
#[derive(Clone, Copy)]
pub(super) struct Fire<'a> {
    pub(super) state: &'a State,
    pub(super) decider: &'a Decider,
}

impl Fire<'_> {
    /// Fires up to `max` profiles' timers that are due now; says how many were looked at. Stored
    /// ones are fired once [`super::Core::look_ahead`] has read them.
    ///
    /// # Errors
    /// [`Refused::Full`], [`Refused::Stopped`], [`Refused::Store`], [`Refused::ProfilesFull`]; what was
    /// not fired stays due.
    pub(super) fn due(&self, max: usize) -> Result<usize, Refused> {
        let timers = &self.state.schedule.timers;
        let entries = timers.take_due(self.state.writer.now(), max);
        let firing = timers.firing();
        let mut failures = 0;
        for (position, entry) in entries.iter().enumerate() {
            firing.at(*entry);
            match self.fire(*entry) {
                Ok(()) => {}
                Err(Unfired::Unreadable(error)) => {
                    self.state.metrics.timers_unreadable.inc();
                    tracing::error!(profile = %entry.id, %error, "a profile's timers are passed over");
                }
                Err(Unfired::Failed(error)) => {
                    let refused = self.state.metrics.refuse(&error);
                    timers.schedule(entry.id, self.state.writer.now().plus_ms(RETRY_MS));
                    failures += 1;
                    if failures == FAILURES_MAX {
                        timers.put_back(&entries[position + 1..]);
                        return Err(refused);
                    }
                }
                Err(Unfired::Refused(refused)) => {
                    timers.put_back(&entries[position..]);
                    return Err(refused);
                }
            }
        }
        Ok(entries.len())
    }

    /// A profile, in memory or stored.
    fn find(&self, id: ProfileId) -> Result<Option<Shared>, Unfired> {
        let found = self.state.profiles.get(id);
        found.map_err(|error| match error {
            error if error.is_of_one_row() => Unfired::Unreadable(error),
            // Of one block of the disk, perhaps.
            StoreError::Database(_) => Unfired::Failed(error),
            error => Unfired::Refused(self.state.metrics.refuse(&error)),
        })
    }

    /// Evaluates a profile at this moment and writes its `wake_up` record. One whose own rows cannot be
    /// read is logged and passed over.
    ///
    /// # Errors
    /// [`Refused::Full`], [`Refused::Stopped`], [`Refused::Store`], [`Refused::ProfilesFull`]; it is
    /// still to be evaluated.
    pub(super) fn evaluate_now(&self, id: ProfileId) -> Result<(), Refused> {
        let shared = match self.find(id) {
            Ok(Some(shared)) => shared,
            Ok(None) => return Ok(()),
            Err(Unfired::Unreadable(error) | Unfired::Failed(error)) => {
                self.state.metrics.store_errors.inc();
                tracing::error!(%error, profile = %id, "a profile was not evaluated");
                return Ok(());
            }
            Err(Unfired::Refused(refused)) => return Err(refused),
        };
        let rules = self.decider.rules();
        let reservation = self.state.writer.reserve_timer(&rules.segments)?;
        let mut live = shared.lock();
        let now = self.state.writer.now();
        // An event or a merge may have come in between.
        if rules.would_change(&live.profile, now, &self.state.metrics.rule_traps) {
            Step::new(self.state, &rules, reservation, "").wake_up(&mut live, now);
        }
        Ok(())
    }

    fn fire(&self, entry: Entry) -> Result<(), Unfired> {
        let Some(shared) = self.find(entry.id)? else {
            return Ok(());
        };
        {
            let mut live = shared.lock();
            // An entry of before the profile left memory, or of the index, leaves a later one.
            if live.scheduled.get().is_none_or(|due| entry.is_of(due)) {
                live.scheduled = OptionalTime::NONE;
            }
        }
        for _ in 0..PER_PROFILE_MAX {
            let fired = self.fire_one(&shared).map_err(Unfired::Refused);
            // Also of a profile that is put back: it may be due again before that.
            self.state.schedule.add(&mut shared.lock());
            if !fired? {
                break;
            }
        }
        Ok(())
    }

    /// Fires the earliest thing due; false where nothing is.
    fn fire_one(&self, shared: &Shared) -> Result<bool, Refused> {
        if due(&shared.lock(), self.state.writer.now()).is_none() {
            return Ok(false);
        }
        let rules = self.decider.rules();
        let reservation = self.state.writer.reserve_timer(&rules.segments)?;
        let mut live = shared.lock();
        // An event may have moved the due time meanwhile.
        let Some(due) = due(&live, self.state.writer.now()) else {
            return Ok(false);
        };
        let mut step = Step::new(self.state, &rules, reservation, "");
        match due {
            Due::SessionEnd(position) => step.session_end(&mut live, position),
            Due::WakeUp(at) => step.wake_up(&mut live, at),
        }
        Ok(true)
    }
}

fn due(live: &Live, now: Timestamp) -> Option<Due> {
    let profile = &live.profile;
    if profile.due().is_none_or(|due| due > now) {
        return None;
    }
    let session = profile
        .sessions
        .iter()
        .enumerate()
        .filter(|(_, session)| !session.ended && session.due <= now)
        .min_by_key(|(_, session)| session.due);
    match (session, profile.wake_up_due().filter(|at| *at <= now)) {
        (Some((position, session)), Some(wake_up)) if session.due <= wake_up => {
            Some(Due::SessionEnd(position))
        }
        (_, Some(wake_up)) => Some(Due::WakeUp(wake_up)),
        (Some((position, _)), None) => Some(Due::SessionEnd(position)),
        (None, None) => None,
    }
}
