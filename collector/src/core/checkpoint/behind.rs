//! Which profiles the checkpoint has to write. Writers of records add to it, the checkpoint takes
//! from it.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tidegate_event::{ProfileId, Timestamp};

use crate::profile::live::{CLEAN, Live};

/// Profiles whose row is behind.
#[derive(Debug, Default)]
pub(in crate::core) struct Behind {
    /// All of them, by the offset of the oldest change that the row lacks.
    dirty: Mutex<BTreeSet<(u64, ProfileId)>>,
    /// Whose session ended: to be written soon.
    ended: Mutex<Vec<ProfileId>>,
}

impl Behind {
    /// The record at `offset` changes `live`. Called before anything changes: the checkpoint must
    /// know of the profile before the record can become durable.
    pub(in crate::core) fn touch(&self, live: &mut Live, offset: u64) {
        if live.first_dirty == CLEAN {
            live.first_dirty = offset;
            self.dirty.lock().insert((offset, live.profile.id));
        }
    }

    /// A session of this profile ended.
    pub(in crate::core) fn session_ended(&self, id: ProfileId) {
        self.ended.lock().push(id);
    }

    /// A row of `live` was written that had this many records and `identifiers`; it stays here where
    /// it changed since.
    pub(super) fn written(
        &self,
        live: &mut Live,
        applied: u64,
        identifiers: usize,
        due: Option<Timestamp>,
    ) {
        let mut dirty = self.dirty.lock();
        dirty.remove(&(live.first_dirty, live.profile.id));
        if !live.written(applied, identifiers, due) {
            dirty.insert((live.first_dirty, live.profile.id));
        }
    }

    /// Takes up to `max` of those whose session ended.
    pub(super) fn take_ended(&self, max: usize) -> Vec<ProfileId> {
        let mut ended = self.ended.lock();
        let from = ended.len().saturating_sub(max);
        ended.split_off(from)
    }

    /// Adds to `ids`, up to `max` more, those with a change before `below` that `is_wanted` says yes to.
    pub(super) fn add_oldest(
        &self,
        ids: &mut Vec<ProfileId>,
        max: usize,
        below: impl Fn(u64) -> bool,
        is_wanted: impl Fn(&ProfileId) -> bool,
    ) {
        let dirty = self.dirty.lock();
        let oldest = dirty.iter().take_while(|(oldest, _)| below(*oldest));
        let wanted = oldest.map(|(_, id)| *id).filter(is_wanted);
        ids.extend(wanted.take(max));
    }

    /// Offset of the oldest change that no row has.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.dirty.lock().first().map(|(oldest, _)| *oldest)
    }

    /// How many there are.
    pub(in crate::core) fn len(&self) -> usize {
        self.dirty.lock().len()
    }
}
