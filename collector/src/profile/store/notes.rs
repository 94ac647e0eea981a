//! What the store notes beside the profiles: how far it holds the journal, how far the journal was
//! when, how far a catch-up is.

use std::collections::BTreeMap;

use fjall::PersistMode;
use tidegate_event::{ProfileId, Timestamp};

use super::{Store, StoreError};

/// Where in `meta` a [`CatchUpNote`] stands. Notes of the first form lack the generation; without one
/// a catch-up begins anew.
const CATCH_UP: &str = "catch_up/2";

/// Where in `meta` the [`Holds`] stand.
const HOLDS: &str = "holds/1";

/// Where in `meta` it stands how far the journal was when.
const REACHED: &[u8] = b"reached/";

/// What the store says of itself: everything in `journal` below `upto` is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holds {
    /// The journal's id.
    pub journal: String,
    /// An offset.
    pub upto: u64,
}

/// How far the profiles were evaluated after a change of the segments that time alone can turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUpNote {
    /// Hash of those segments.
    pub segments: u64,
    /// Generation of the catalog in which they stand.
    pub generation: u32,
    /// The last stored profile that was looked at.
    pub after: Option<ProfileId>,
    /// All were looked at.
    pub done: bool,
}

impl CatchUpNote {
    /// Hash where there is no such segment.
    pub const NO_SEGMENTS: u64 = 0;

    /// Nothing was looked at.
    #[must_use]
    pub const fn start(segments: u64, generation: u32) -> Self {
        Self {
            segments,
            generation,
            after: None,
            done: false,
        }
    }
}

impl Store {
    /// What [`Store::note_holds`] noted last; None also in a store of release 0.1.0.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn holds(&self) -> Result<Option<Holds>, StoreError> {
        let Some(noted) = self.meta.get(HOLDS)? else {
            return Ok(None);
        };
        let (upto, journal) = noted.split_first_chunk::<8>().ok_or(StoreError::Row)?;
        let journal = String::from_utf8(journal.to_vec()).map_err(|_| StoreError::Row)?;
        let upto = u64::from_be_bytes(*upto);
        Ok(Some(Holds { journal, upto }))
    }

    /// Notes, durably, that everything below `upto` is in the store: before a cursor says so, for a
    /// store that is behind the cursor has lost something.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn note_holds(&self, journal: &str, upto: u64) -> Result<(), StoreError> {
        let note = [&upto.to_be_bytes(), journal.as_bytes()].concat();
        self.meta.insert(HOLDS, note)?;
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    /// Notes that the journal was durable up to `offset` at `at`; may be lost in a crash.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn note_reached(&self, at: Timestamp, offset: u64) -> Result<(), StoreError> {
        Ok(self.meta.insert(reached_key(at), offset.to_be_bytes())?)
    }

    /// What [`Store::note_reached`] noted and [`Store::forget_reached`] left, by time.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn reached(&self) -> Result<BTreeMap<Timestamp, u64>, StoreError> {
        let noted = self.meta.prefix(REACHED).map(|row| {
            let (key, offset) = row.into_inner()?;
            let at = key.strip_prefix(REACHED).ok_or(StoreError::Row)?;
            let at = u64::from_be_bytes(at.try_into().map_err(|_| StoreError::Row)?);
            let offset = offset.as_ref().try_into().map_err(|_| StoreError::Row)?;
            let at = Timestamp(i64::try_from(at).unwrap_or(i64::MAX));
            Ok((at, u64::from_be_bytes(offset)))
        });
        noted.collect()
    }

    /// Drops the notes of before `at`.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn forget_reached(&self, at: Timestamp) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        for row in self.meta.range(reached_key(Timestamp(0))..reached_key(at)) {
            batch.remove(&self.meta, row.key()?);
        }
        batch.commit()?;
        Ok(())
    }

    /// What [`Store::note_catch_up`] noted last.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn catch_up_note(&self) -> Result<CatchUpNote, StoreError> {
        let noted = self.meta.get(CATCH_UP)?;
        let Some(noted) = noted else {
            return Ok(CatchUpNote::start(CatchUpNote::NO_SEGMENTS, 0));
        };
        let (segments, generation, after, done) =
            postcard::from_bytes(&noted).map_err(|_| StoreError::Row)?;
        Ok(CatchUpNote {
            segments,
            generation,
            after: Option::<u128>::map(after, ProfileId),
            done,
        })
    }

    /// Notes how far a catch-up is; may be lost in a crash.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn note_catch_up(&self, note: CatchUpNote) -> Result<(), StoreError> {
        let after = note.after.map(|id| id.0);
        let fields = (note.segments, note.generation, after, note.done);
        let bytes = postcard::to_stdvec(&fields).map_err(|_| StoreError::Row)?;
        Ok(self.meta.insert(CATCH_UP, bytes)?)
    }

    /// Makes the note of the last catch-up unreadable.
    #[cfg(test)]
    pub fn damage_catch_up(&self) {
        self.meta.insert(CATCH_UP, [0xff; 3]).unwrap();
    }
}

fn reached_key(at: Timestamp) -> Vec<u8> {
    let at = at.0.max(0).unsigned_abs().to_be_bytes();
    [REACHED, &at].concat()
}
