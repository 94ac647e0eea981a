//! Timers: session ends and wake-ups become records like any hit, within a capped share of the
//! journal. With no room they wait; none is dropped.

use tidegate_event::Timestamp;
use tidegate_journal::Purpose;

use super::step::Step;
use super::timers::Entry;
use super::{Core, Refused};
use crate::profile::OptionalTime;
use crate::profile::live::{Live, Shared};
use crate::profile::store::StoreError;

/// Things due for one profile that are fired before others get their turn.
const PER_PROFILE_MAX: usize = 16;
/// Bytes of a timer's record beside its transitions.
pub(super) const RECORD_BASE_BYTES: usize = 4_096;

/// Why a profile's timers did not fire.
enum Unfired {
    /// Its own rows do not parse: the others go on.
    Unreadable(StoreError),
    /// Nothing can be fired now.
    Refused(Refused),
}

/// What is due.
enum Due {
    SessionEnd(usize),
    WakeUp(Timestamp),
}

impl Core {
    /// Fires up to `max` profiles' timers that are due now; says how many were looked at. Stored
    /// ones are fired once [`Core::look_ahead`] has read them.
    ///
    /// # Errors
    /// [`Refused::Stopped`], [`Refused::Store`], [`Refused::ProfilesFull`]; what was not fired stays
    /// due.
    pub async fn fire_due(&self, max: usize) -> Result<usize, Refused> {
        let timers = &self.0.timers;
        let entries = timers.take_due(self.0.clock.now(), max);
        let firing = timers.firing();
        for (position, entry) in entries.iter().enumerate() {
            firing.at(*entry);
            match self.fire(*entry).await {
                Ok(()) => {}
                Err(Unfired::Unreadable(error)) => {
                    self.0.metrics.timers_unreadable.inc();
                    tracing::error!(profile = %entry.id, %error, "a profile's timers are passed over");
                }
                Err(Unfired::Refused(refused)) => {
                    timers.put_back(&entries[position..]);
                    return Err(refused);
                }
            }
        }
        Ok(entries.len())
    }

    async fn fire(&self, entry: Entry) -> Result<(), Unfired> {
        let found = self.0.profiles.get(entry.id);
        let found = found.map_err(|error| match error.is_of_one_row() {
            true => Unfired::Unreadable(error),
            false => Unfired::Refused(self.refuse(&error)),
        })?;
        let Some(shared) = found else {
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
            let fired = self.fire_one(&shared).await.map_err(Unfired::Refused);
            // Also of a profile that is put back: it may be due again before that.
            self.schedule(&mut shared.lock());
            if !fired? {
                break;
            }
        }
        Ok(())
    }

    /// Fires the earliest thing due; false where nothing is.
    async fn fire_one(&self, shared: &Shared) -> Result<bool, Refused> {
        if due(&shared.lock(), self.0.clock.now()).is_none() {
            return Ok(false);
        }
        let bytes = RECORD_BASE_BYTES + 2 * self.0.rules.load().transition_bytes_max();
        let reservation = self
            .0
            .journal
            .reserve_wait_for(Purpose::Timer, bytes, 1)
            .await
            .map_err(|_| Refused::Stopped)?;
        let rules = self.0.rules.load();
        let mut live = shared.lock();
        // While it waited for room an event may have moved the due time.
        let Some(due) = due(&live, self.0.clock.now()) else {
            return Ok(false);
        };
        let mut step = Step::new(self, &rules, reservation, "");
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
