//! After a catalog change: evaluates the visitors that send nothing more, where time alone can turn
//! a new or changed segment. Without it they would have no wake-up.
//!
//! Goes through memory, then through the store, a page at a time. A `wake_up` record is written
//! only for a profile on which something changes. How far it is stands in the store, so that a
//! restart goes on there. The background task calls it; the pace is the caller's.

use tidegate_event::ProfileId;

use super::step::Step;
use super::{Core, Refused};
use crate::core::fire::RECORD_BASE_BYTES;
use crate::core::rules::Rules;
use crate::pipeline::decide::{self, Moment};
use crate::profile::Profile;
use crate::profile::row::Stored;
use crate::profile::store::{CatchUpNote, StoreError};

/// How far the current catch-up is.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// What the store says, once it was read.
    note: Option<CatchUpNote>,
    /// Profiles in memory that are still to be looked at; None before they were listed.
    live: Option<Vec<ProfileId>>,
    /// The store has this note already.
    saved: Option<CatchUpNote>,
}

/// One page of a catch-up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CatchUpPage {
    /// Profiles to evaluate now: [`Core::evaluate_now`].
    pub changed: Vec<ProfileId>,
    /// Nothing is left to look at.
    pub done: bool,
}

impl Core {
    /// Looks at up to `max` further profiles. Reads the store: not for a worker thread.
    ///
    /// # Errors
    /// [`StoreError`]: the same page comes again.
    pub fn catch_up(&self, max: usize) -> Result<CatchUpPage, StoreError> {
        let rules = self.0.rules.load();
        let store = self.0.profiles.store()?;
        let mut state = self.0.catch_up.lock();
        let note = match state.note {
            Some(note) => note,
            None => store.catch_up_note()?,
        };
        state.note = Some(note);
        if note.segments != rules.timed {
            *state = CatchUp {
                note: Some(CatchUpNote::start(rules.timed)),
                ..CatchUp::default()
            };
        }
        let CatchUp {
            note: Some(note),
            live,
            saved,
        } = &mut *state
        else {
            return Ok(CatchUpPage::default());
        };
        // Only now: what the page before named is evaluated.
        if *saved != Some(*note) {
            store.note_catch_up(*note)?;
            *saved = Some(*note);
        }
        if note.done || rules.timed == CatchUpNote::NO_SEGMENTS {
            return Ok(CatchUpPage {
                changed: Vec::new(),
                done: true,
            });
        }
        let live = live.get_or_insert_with(|| self.live_profiles());
        if !live.is_empty() {
            let from = live.len().saturating_sub(max);
            let mut changed = live.split_off(from);
            changed.retain(|id| self.live_changes(&rules, *id));
            return Ok(CatchUpPage {
                changed,
                done: false,
            });
        }
        let page = store.page(note.after, max)?;
        note.after = page.last.or(note.after);
        note.done = page.last.is_none();
        let changed = |(id, stored)| self.stored_changes(&rules, id, stored).then_some(id);
        Ok(CatchUpPage {
            changed: page.rows.into_iter().filter_map(changed).collect(),
            done: note.done,
        })
    }

    /// Evaluates a profile at this moment and writes its `wake_up` record. Waits for journal space.
    ///
    /// # Errors
    /// [`Refused::Stopped`], [`Refused::Store`]
    pub async fn evaluate_now(&self, id: ProfileId) -> Result<(), Refused> {
        let bytes = RECORD_BASE_BYTES + 2 * self.0.rules.load().transition_bytes_max();
        let reservation = self.0.journal.reserve_wait(bytes, 1).await;
        let reservation = reservation.map_err(|_| Refused::Stopped)?;
        let shared = self.0.profiles.get(id).map_err(|error| {
            tracing::error!(%error, profile = %id, "a profile was not evaluated");
            Refused::Store
        })?;
        let Some(shared) = shared else {
            return Ok(());
        };
        let rules = self.0.rules.load();
        let mut live = shared.lock();
        // An event or a merge may have come in between.
        if self.changes(&rules, &live.profile) {
            let now = self.0.clock.now();
            Step::new(self, &rules, reservation, "").wake_up(&mut live, now);
        }
        Ok(())
    }

    fn live_profiles(&self) -> Vec<ProfileId> {
        let mut ids = Vec::with_capacity(self.0.profiles.len());
        self.0.profiles.each(|id, _| ids.push(id));
        ids
    }

    fn live_changes(&self, rules: &Rules, id: ProfileId) -> bool {
        // Only in memory: what was evicted meanwhile comes with the store's pages.
        if !self.0.profiles.is_live(id) {
            return false;
        }
        match self.0.profiles.get(id) {
            Ok(shared) => shared.is_some_and(|shared| self.changes(rules, &shared.lock().profile)),
            Err(error) => {
                tracing::error!(%error, profile = %id, "a profile was not evaluated");
                false
            }
        }
    }

    fn stored_changes(
        &self,
        rules: &Rules,
        id: ProfileId,
        stored: Result<Stored, StoreError>,
    ) -> bool {
        // What is in memory is newer than its row.
        if self.0.profiles.is_live(id) {
            return self.live_changes(rules, id);
        }
        match stored {
            Ok(stored) => self.changes(rules, &stored.profile),
            Err(error) => {
                tracing::error!(%error, profile = %id, "a stored profile was not evaluated");
                false
            }
        }
    }

    /// Whether an evaluation now changes a membership or brings an earlier wake-up.
    fn changes(&self, rules: &Rules, profile: &Profile) -> bool {
        if profile.alias_of.is_some() || profile.created_at == Profile::UNBORN {
            return false;
        }
        // Taken after the profile's lock, as everywhere.
        let mut worker = rules.worker();
        decide::begin(&mut worker);
        let now = self.0.clock.now();
        let moment = Moment {
            profile,
            session: profile.current_session(now),
            now,
        };
        let decided = decide::decide(rules, &mut worker, moment);
        let own = profile.wake_up.get();
        !decided.transitions.is_empty()
            || decided
                .wake_up
                .is_some_and(|at| own.is_none_or(|own| at < own))
    }
}
