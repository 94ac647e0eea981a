//! After a catalog change: evaluates the visitors that send nothing more, where time alone can turn
//! a new or changed segment. Without it they would have no wake-up.
//!
//! Goes through memory, then through the store, a page at a time. A `wake_up` record is written
//! only for a profile on which something changes. How far it is stands in the store, so that a
//! restart goes on there. The background task calls it; the pace is the caller's.

use tidegate_event::ProfileId;

use super::fire::Unfired;
use super::step::Step;
use super::{Core, Refused};
use crate::decide::{Moment, Rules};
use crate::profile::Profile;
use crate::profile::row::Stored;
use crate::profile::store::{CatchUpNote, Store, StoreError};

/// How far the current catch-up is.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// None before the store was asked.
    note: Option<CatchUpNote>,
    /// The store has the note as it is.
    is_saved: bool,
    /// End of the journal when all before the note was evaluated.
    evaluated_at: Option<u64>,
    /// Profiles in memory that are still to be looked at; None before they were listed.
    live: Option<Vec<ProfileId>>,
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
        begin(&mut state, &store, &rules)?;
        let CatchUp {
            note: Some(note),
            is_saved,
            evaluated_at,
            live,
        } = &mut *state
        else {
            return Ok(CatchUpPage::default());
        };
        // Only now: what the page before named is evaluated. A crash must not lose its records and
        // keep the note.
        if !*is_saved {
            let journal = &self.0.journal;
            if journal.durable() < *evaluated_at.get_or_insert(journal.next_offset()) {
                return Ok(CatchUpPage::default());
            }
            store.note_catch_up(*note)?;
            (*is_saved, *evaluated_at) = (true, None);
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
        *is_saved = false;
        let changed = |(id, stored)| self.stored_changes(&rules, id, stored).then_some(id);
        Ok(CatchUpPage {
            changed: page.rows.into_iter().filter_map(changed).collect(),
            // Once that is noted.
            done: false,
        })
    }

    /// Evaluates a profile at this moment and writes its `wake_up` record. One whose own rows cannot be
    /// read is logged and passed over.
    ///
    /// # Errors
    /// [`Refused::Full`], [`Refused::Stopped`], [`Refused::Store`], [`Refused::ProfilesFull`]; it is
    /// still to be evaluated.
    pub fn evaluate_now(&self, id: ProfileId) -> Result<(), Refused> {
        let shared = match self.find_to_fire(id) {
            Ok(Some(shared)) => shared,
            Ok(None) => return Ok(()),
            Err(Unfired::Unreadable(error) | Unfired::Failed(error)) => {
                self.0.metrics.store_errors.inc();
                tracing::error!(%error, profile = %id, "a profile was not evaluated");
                return Ok(());
            }
            Err(Unfired::Refused(refused)) => return Err(refused),
        };
        let reservation = self.reserve_timer()?;
        let rules = self.0.rules.load();
        let mut live = shared.lock();
        // An event or a merge may have come in between.
        if self.changes(&rules, &live.profile) {
            let now = self.0.clock.now();
            Step::new(self, &rules, reservation, "").wake_up(&mut live, now);
        }
        Ok(())
    }

    /// Resolves when other rules came into force since the last call.
    pub async fn catalog_switched(&self) {
        self.0.switched.notified().await;
    }

    /// A profile on which an evaluation now would change something.
    #[cfg(test)]
    pub(crate) fn unevaluated(&self) -> Result<Option<ProfileId>, StoreError> {
        let rules = self.0.rules.load();
        let mut found = None;
        self.each_profile(|profile| {
            if found.is_none() && self.changes(&rules, profile) {
                found = Some(profile.id);
            }
        })?;
        Ok(found)
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
        let evaluation = rules.evaluation(&self.0.metrics.rule_traps);
        let decided = evaluation.decide(Moment::of(profile, self.0.clock.now()));
        let own = profile.wake_up.get();
        !decided.transitions.is_empty()
            || decided
                .wake_up
                .is_some_and(|at| own.is_none_or(|own| at < own))
    }
}

/// Reads the note where it was not read yet, and begins anew for other rules.
fn begin(state: &mut CatchUp, store: &Store, rules: &Rules) -> Result<(), StoreError> {
    if state.note.is_none() {
        let (note, is_saved) = match store.catch_up_note() {
            Ok(note) => (note, true),
            // Without this one that does not parse would stop every catch-up.
            Err(error) if error.is_of_one_row() => {
                tracing::error!(%error, "the note of the last catch-up does not parse: it begins anew");
                (CatchUpNote::start(CatchUpNote::NO_SEGMENTS, 0), false)
            }
            Err(error) => return Err(error),
        };
        *state = CatchUp {
            note: Some(note),
            is_saved,
            ..CatchUp::default()
        };
    }
    let generation = rules.generation;
    match &mut state.note {
        Some(note) if note.generation == generation && note.segments == rules.timed => {}
        // The next catalog, with the same segments.
        Some(note)
            if note.generation.wrapping_add(1) == generation && note.segments == rules.timed =>
        {
            note.generation = generation;
            state.is_saved = false;
        }
        // Also where they are the same again: others were in force in between.
        _ => {
            *state = CatchUp {
                note: Some(CatchUpNote::start(rules.timed, generation)),
                ..CatchUp::default()
            };
        }
    }
    Ok(())
}
