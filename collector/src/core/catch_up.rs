//! After a catalog change: evaluates the visitors that send nothing more, where time alone can turn
//! a new or changed segment. Without it they would have no wake-up.
//!
//! Goes through memory, then through the store, a page at a time. A `wake_up` record is written
//! only for a profile on which something changes. How far it is stands in the store, so that a
//! restart goes on there. The background task calls it; the pace is the caller's.

use parking_lot::Mutex;
use tidegate_event::ProfileId;
use tidegate_journal::Journal;

use crate::clock::Clock;
use crate::decide::{Rules, Traps};
use crate::profile::Profile;
use crate::profile::live::Profiles;
use crate::profile::row::Stored;
use crate::profile::store::{CatchUpNote, Store, StoreError};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct CatchUp(Mutex<Place>);

/// What a page is made of: the rules that are evaluated, the profiles that they are asked about.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) rules: &'a Rules,
    pub(super) profiles: &'a Profiles,
    pub(super) journal: &'a Journal,
    pub(super) clock: &'a dyn Clock,
    pub(super) traps: &'a Traps,
}

/// How far the current catch-up is.
#[derive(Debug, Default)]
struct Place {
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
    /// Profiles to evaluate now: [`super::Core::evaluate_now`].
    pub changed: Vec<ProfileId>,
    /// Nothing is left to look at.
    pub done: bool,
}

impl CatchUp {
    /// Looks at up to `max` further profiles. Reads the store.
    ///
    /// # Errors
    /// [`StoreError`]: the same page comes again.
    pub(super) fn page(&self, look: Look<'_>, max: usize) -> Result<CatchUpPage, StoreError> {
        let store = look.profiles.store()?;
        let mut place = self.0.lock();
        begin(&mut place, &store, look.rules)?;
        let Place {
            note: Some(note),
            is_saved,
            evaluated_at,
            live,
        } = &mut *place
        else {
            return Ok(CatchUpPage::default());
        };
        // Only now: what the page before named is evaluated. A crash must not lose its records and
        // keep the note.
        if !*is_saved {
            let journal = look.journal;
            if journal.durable() < *evaluated_at.get_or_insert(journal.next_offset()) {
                return Ok(CatchUpPage::default());
            }
            store.note_catch_up(*note)?;
            (*is_saved, *evaluated_at) = (true, None);
        }
        if note.done || look.rules.timed == CatchUpNote::NO_SEGMENTS {
            return Ok(CatchUpPage {
                changed: Vec::new(),
                done: true,
            });
        }
        let live = live.get_or_insert_with(|| look.live_profiles());
        if !live.is_empty() {
            let from = live.len().saturating_sub(max);
            let mut changed = live.split_off(from);
            changed.retain(|id| look.live_changes(*id));
            return Ok(CatchUpPage {
                changed,
                done: false,
            });
        }
        let page = store.page(note.after, max)?;
        note.after = page.last.or(note.after);
        note.done = page.last.is_none();
        *is_saved = false;
        let changed = |(id, stored)| look.stored_changes(id, stored).then_some(id);
        Ok(CatchUpPage {
            changed: page.rows.into_iter().filter_map(changed).collect(),
            // Once that is noted.
            done: false,
        })
    }
}

impl Look<'_> {
    fn live_profiles(&self) -> Vec<ProfileId> {
        let mut ids = Vec::with_capacity(self.profiles.len());
        self.profiles.each(|id, _| ids.push(id));
        ids
    }

    fn live_changes(&self, id: ProfileId) -> bool {
        // Only in memory: what was evicted meanwhile comes with the store's pages.
        if !self.profiles.is_live(id) {
            return false;
        }
        match self.profiles.get(id) {
            Ok(shared) => shared.is_some_and(|shared| self.changes(&shared.lock().profile)),
            Err(error) => {
                tracing::error!(%error, profile = %id, "a profile was not evaluated");
                false
            }
        }
    }

    fn stored_changes(&self, id: ProfileId, stored: Result<Stored, StoreError>) -> bool {
        // What is in memory is newer than its row.
        if self.profiles.is_live(id) {
            return self.live_changes(id);
        }
        match stored {
            Ok(stored) => self.changes(&stored.profile),
            Err(error) => {
                tracing::error!(%error, profile = %id, "a stored profile was not evaluated");
                false
            }
        }
    }

    fn changes(&self, profile: &Profile) -> bool {
        self.rules
            .would_change(profile, self.clock.now(), self.traps)
    }
}

/// Reads the note where it was not read yet, and begins anew for other rules.
fn begin(place: &mut Place, store: &Store, rules: &Rules) -> Result<(), StoreError> {
    if place.note.is_none() {
        let (note, is_saved) = match store.catch_up_note() {
            Ok(note) => (note, true),
            // Without this one that does not parse would stop every catch-up.
            Err(error) if error.is_of_one_row() => {
                tracing::error!(%error, "the note of the last catch-up does not parse: it begins anew");
                (CatchUpNote::start(CatchUpNote::NO_SEGMENTS, 0), false)
            }
            Err(error) => return Err(error),
        };
        *place = Place {
            note: Some(note),
            is_saved,
            ..Place::default()
        };
    }
    let generation = rules.generation;
    match &mut place.note {
        Some(note) if note.generation == generation && note.segments == rules.timed => {}
        // The next catalog, with the same segments.
        Some(note)
            if note.generation.wrapping_add(1) == generation && note.segments == rules.timed =>
        {
            note.generation = generation;
            place.is_saved = false;
        }
        // Also where they are the same again: others were in force in between.
        _ => {
            *place = Place {
                note: Some(CatchUpNote::start(rules.timed, generation)),
                ..Place::default()
            };
        }
    }
    Ok(())
}
