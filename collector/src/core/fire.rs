//! Timers: session ends and wake-ups become records like any hit, within a capped share of the
//! journal. With no room they wait; none is dropped.

use tidegate_event::{ProfileId, Timestamp};
use tidegate_journal::Purpose;

use super::step::Step;
use super::{Core, Refused};
use crate::profile::OptionalTime;
use crate::profile::live::{Live, Shared};

/// How far ahead the store's due index is read into memory.
pub(super) const AHEAD_MS: i64 = 120_000;
/// Rows of the due index read at once.
const AHEAD_ROWS_MAX: usize = 50_000;
/// Things due for one profile that are fired before others get their turn.
const PER_PROFILE_MAX: usize = 16;
const RECORD_BASE_BYTES: usize = 4_096;

/// What is due.
enum Due {
    SessionEnd(usize),
    WakeUp(Timestamp),
}

impl Core {
    /// Fires up to `max` profiles' timers that are due now; says how many were looked at.
    ///
    /// # Errors
    /// [`Refused::Stopped`], [`Refused::Store`]; what was not fired stays due.
    pub async fn fire_due(&self, max: usize) -> Result<usize, Refused> {
        let ids = self.0.timers.take_due(self.0.clock.now(), max);
        for (position, id) in ids.iter().enumerate() {
            if let Err(refused) = self.fire(*id).await {
                for id in &ids[position..] {
                    self.0.timers.schedule(*id, self.0.clock.now());
                }
                return Err(refused);
            }
        }
        Ok(ids.len())
    }

    /// Takes profiles at rest that are due soon into the timers.
    ///
    /// # Errors
    /// [`Refused::Store`]
    pub fn look_ahead(&self) -> Result<(), Refused> {
        let until = self.0.clock.now().plus_ms(AHEAD_MS);
        let profiles = &self.0.profiles;
        let at_rest = |id| !profiles.is_live(id);
        let store = profiles.store().map_err(|_| Refused::Store)?;
        let rows = store.due_until(until, AHEAD_ROWS_MAX, at_rest);
        for (due, id) in rows.map_err(|_| Refused::Store)? {
            self.0.timers.schedule(id, due);
        }
        Ok(())
    }

    async fn fire(&self, id: ProfileId) -> Result<(), Refused> {
        let Some(shared) = self.0.profiles.get(id).map_err(|_| Refused::Store)? else {
            return Ok(());
        };
        shared.lock().scheduled = OptionalTime::NONE;
        for _ in 0..PER_PROFILE_MAX {
            if !self.fire_one(&shared).await? {
                break;
            }
        }
        self.schedule(&mut shared.lock());
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
    match (session, profile.wake_up.get().filter(|at| *at <= now)) {
        (Some((position, session)), Some(wake_up)) if session.due <= wake_up => {
            Some(Due::SessionEnd(position))
        }
        (_, Some(wake_up)) => Some(Due::WakeUp(wake_up)),
        (Some((position, _)), None) => Some(Due::SessionEnd(position)),
        (None, None) => None,
    }
}
