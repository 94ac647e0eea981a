//! Profiles at rest in fjall: rows, the identity index, due timers, deduplication keys. Written
//! behind in large batches by the checkpoint, each batch atomic and synced before it counts.

use std::collections::BTreeMap;
use std::ops::Bound;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tidegate_event::record::Namespace;
use tidegate_event::row_version::RowError;
use tidegate_event::{ProfileId, Timestamp};

use super::Profile;
use super::row::{self, FORMAT, Stored};
use crate::identity::kinds::Kind;

/// The store failed; what it holds is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database itself.
    #[error("the profile store failed: {0}")]
    Database(#[from] fjall::Error),
    /// Of a form that this build does not read. Nothing was changed.
    #[error(
        "the stored profiles have {}, and this build reads formats 1 to {FORMAT}; start the \
         tidegate that wrote them or a later one, or restore a backup of the data directory",
        named(*found)
    )]
    Format {
        /// Its number; None: from before there was one.
        found: Option<u32>,
    },
    /// A keyspace is gone. Opening it would begin it anew.
    #[error(
        "{keyspace:?} of the profile store is missing, so the directory `state` is damaged; {}",
        REMEDY
    )]
    Lost {
        /// Which.
        keyspace: &'static str,
    },
    /// A row of a version that this build does not read.
    #[error(
        "the profile store holds a row of format {found}, and this build reads formats 1 to \
         {FORMAT}; start the tidegate that wrote it or a later one"
    )]
    NewerRow {
        /// Its version.
        found: u8,
    },
    /// A row that does not parse.
    #[error(
        "a row of the profile store does not parse; the data directory was written by another version or is damaged"
    )]
    Row,
    /// No place in memory for another profile.
    #[error(
        "{live} profiles are in memory, above profiles.live_max and its slack; the event can be \
         sent again when some of them are written"
    )]
    MemoryFull {
        /// Profiles in memory.
        live: usize,
    },
    /// Other hits changed the same profiles each time.
    #[error(
        "other events changed the same profiles between look-up and lock, {tries} times in turn"
    )]
    Contended {
        /// Tries.
        tries: usize,
    },
    /// Aliases that do not come to an end.
    #[error("the merges of profile {0} do not lead to a profile; its rows are damaged")]
    Aliases(ProfileId),
    /// A write failed, and the database is not open again yet.
    #[error(
        "the profile store is closed after a failed write; it is opened again when the disk has room"
    )]
    Closed,
}

impl From<RowError> for StoreError {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Newer { found } => Self::NewerRow { found },
            RowError::Malformed => Self::Row,
        }
    }
}

impl StoreError {
    /// True where the rows of one profile are the cause, and those of others can be read.
    #[must_use]
    pub const fn is_of_one_row(&self) -> bool {
        matches!(self, Self::Row | Self::NewerRow { .. } | Self::Aliases(_))
    }
}

fn named(found: Option<u32>) -> String {
    found.map_or_else(
        || "no format number (written before release 0.1.0)".to_owned(),
        |format| format!("format {format}"),
    )
}

/// What to do where the store, or a part of it, is not what was written.
pub const REMEDY: &str = "put it back, or restore the data directory from a backup. To go on \
    without: move `state` away, run `tidegate journal cursors drop checkpoint --force`, and start; \
    profiles are then made of what the journal still holds, and waiting callbacks and \
    deduplication keys are lost";

/// What the store says of itself: everything in `journal` below `upto` is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holds {
    /// The journal's id.
    pub journal: String,
    /// An offset.
    pub upto: u64,
}

/// Handle to the keyspaces. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Database,
    profiles: Keyspace,
    identity: Keyspace,
    due: Keyspace,
    dedup: Keyspace,
    meta: Keyspace,
    fresh: bool,
    /// Profiles whose rows lie in a block that the disk does not read.
    #[cfg(test)]
    pub(crate) failing: std::sync::Arc<parking_lot::Mutex<Vec<ProfileId>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// One profile to write.
#[derive(Debug)]
pub struct ProfileWrite {
    /// Whose.
    pub id: ProfileId,
    /// The row, as [`row::write`] makes it.
    pub row: Vec<u8>,
    /// Identifiers not in the index yet, or there with another profile.
    pub edges: Vec<(Namespace, Box<str>)>,
    /// The due time that the index holds.
    pub due_before: Option<Timestamp>,
    /// The due time that it shall hold.
    pub due: Option<Timestamp>,
}

/// What a sweep needs to know of a row.
#[derive(Clone, Copy, Debug)]
pub struct StoredRow {
    /// Whose.
    pub id: ProfileId,
    /// Time of the last event; None where the row does not parse.
    pub last_seen: Option<Timestamp>,
    /// See [`stored_bytes`].
    pub bytes: u64,
}

/// Bytes of a profile's row, identifiers and due time, before compression.
#[must_use]
pub fn stored_bytes(row: &[u8], profile: &Profile) -> u64 {
    let ids = profile.identifiers.iter();
    let ids: usize = ids.map(|id| 1 + id.value.len() + PROFILE_KEY_BYTES).sum();
    let bytes = PROFILE_KEY_BYTES + row.len() + ids + DUE_KEY_BYTES;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

const PROFILE_KEY_BYTES: usize = 16;

/// Where to go on reading the due index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueFrom([u8; DUE_KEY_BYTES]);

impl Default for DueFrom {
    fn default() -> Self {
        Self([0; DUE_KEY_BYTES])
    }
}

impl DueFrom {
    /// The first place behind `key`, which may be of any length.
    fn behind(key: &[u8]) -> Self {
        let mut next = [0; DUE_KEY_BYTES];
        let bytes = key.len().min(DUE_KEY_BYTES);
        next[..bytes].copy_from_slice(&key[..bytes]);
        // A shorter key stands before itself with zeros added.
        if key.len() >= DUE_KEY_BYTES {
            for byte in next.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
        Self(next)
    }

    /// Rows of before this time are read.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        due_entry(&self.0).map_or(Timestamp(0), |(at, _)| at)
    }
}

/// A stretch of the due index.
#[derive(Debug)]
pub struct DuePage {
    /// Due time and profile.
    pub rows: Vec<(Timestamp, ProfileId)>,
    /// Keys that are none.
    pub unreadable: Vec<Box<[u8]>>,
    /// Where to go on.
    pub next: DueFrom,
}

/// Rows in order of the id.
#[derive(Debug, Default)]
pub struct Page {
    /// Each row, or why it cannot be read.
    pub rows: Vec<(ProfileId, Result<Stored, StoreError>)>,
    /// The last id; None where no row is left.
    pub last: Option<ProfileId>,
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

/// Deduplication keys of one stretch of the journal: key and offset.
pub type DedupRows = Vec<(u128, u64)>;

const META: &str = "meta";
/// The others.
const KEYSPACES: [&str; 4] = ["profiles", "identity", "due", "dedup"];
const DEDUP_ROW_BYTES: usize = 24;
/// What a keyspace gathers in memory before it writes a sorted file: profile rows, all else. With
/// the engine's 64 MiB each, a million visitors' rows would be in memory twice for long.
const PROFILES_MEMTABLE_BYTES: u64 = 16 << 20;
const MEMTABLE_BYTES: u64 = 8 << 20;

impl Store {
    /// Opens the keyspaces in `database`, which [`check_format`] found readable.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn open(database: Database) -> Result<Self, StoreError> {
        let keyspace = |name, memtable_bytes| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes)
            })
        };
        let mut store = Self {
            fresh: false,
            profiles: keyspace("profiles", PROFILES_MEMTABLE_BYTES)?,
            identity: keyspace("identity", MEMTABLE_BYTES)?,
            due: keyspace("due", MEMTABLE_BYTES)?,
            dedup: keyspace("dedup", MEMTABLE_BYTES)?,
            meta: keyspace(META, MEMTABLE_BYTES)?,
            database,
            #[cfg(test)]
            failing: Default::default(),
        };
        store.fresh = format_of(&store.meta)?.is_none();
        // A row that was written when the process was killed is read as stored from now on, and the
        // journal lets its records go.
        store.database.persist(PersistMode::SyncData)?;
        Ok(store)
    }

    /// Raises the number: before the first row of this format is written, so that an earlier build
    /// refuses the store from then on, and once it is known that the store belongs to its journal.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn raise_format(&self) -> Result<(), StoreError> {
        if format_of(&self.meta)?.is_none_or(|found| found < u32::from(FORMAT)) {
            self.meta
                .insert("format", u32::from(FORMAT).to_be_bytes())?;
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    /// There was no store when it was opened.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

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

    /// The 128-bit key that hashes identifiers and deduplication keys; `fresh` becomes it in a new
    /// store.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn hash_key(&self, fresh: [u8; 16]) -> Result<[u8; 16], StoreError> {
        if let Some(known) = self.meta.get("hash_key")? {
            return known.as_ref().try_into().map_err(|_| StoreError::Row);
        }
        self.meta.insert("hash_key", fresh)?;
        self.database.persist(PersistMode::SyncData)?;
        Ok(fresh)
    }

    /// The profile's row.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn profile(&self, id: ProfileId) -> Result<Option<Stored>, StoreError> {
        #[cfg(test)]
        if self.failing.lock().contains(&id) {
            return Err(fjall::Error::Io(std::io::Error::other("a block is damaged")).into());
        }
        let row = self.profiles.get(id.0.to_be_bytes())?;
        row.map(|row| row::read(&row)).transpose()
    }

    /// The profile that this identifier is tied to.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn identity(
        &self,
        namespace: Namespace,
        value: &str,
    ) -> Result<Option<ProfileId>, StoreError> {
        let Some(id) = self.identity.get(identity_key(namespace, value))? else {
            return Ok(None);
        };
        let id = id.as_ref().try_into().map_err(|_| StoreError::Row)?;
        Ok(Some(ProfileId(u128::from_be_bytes(id))))
    }

    /// Up to `max` rows of the due index after `from` whose time is at or before `until`, earliest
    /// first. A time is never later than when something is due, and often earlier.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn due_page(
        &self,
        from: DueFrom,
        until: Timestamp,
        max: usize,
    ) -> Result<DuePage, StoreError> {
        let end = due_key(until.plus_ms(1), ProfileId(0));
        let mut page = DuePage {
            rows: Vec::new(),
            unreadable: Vec::new(),
            next: DueFrom(end),
        };
        if from.0 >= end {
            page.next = from;
            return Ok(page);
        }
        for row in self.due.range(from.0..end).take(max) {
            let key = row.key()?;
            match due_entry(&key) {
                Some(entry) => page.rows.push(entry),
                None => page.unreadable.push(key.to_vec().into()),
            }
            if page.rows.len() + page.unreadable.len() == max {
                page.next = DueFrom::behind(&key);
            }
        }
        Ok(page)
    }

    /// Up to `max` rows from `from` on, by profile id.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn rows(&self, from: Option<ProfileId>, max: usize) -> Result<Vec<StoredRow>, StoreError> {
        let from = from.unwrap_or(ProfileId(0)).0.to_be_bytes();
        let mut rows = Vec::new();
        for row in self.profiles.range(from..).take(max) {
            let (key, value) = row.into_inner()?;
            let id = key.as_ref().try_into().map_err(|_| StoreError::Row)?;
            let profile = row::read(&value).ok().map(|stored| stored.profile);
            rows.push(StoredRow {
                id: ProfileId(u128::from_be_bytes(id)),
                last_seen: profile.as_ref().map(|profile| profile.last_seen),
                bytes: profile.map_or(0, |profile| stored_bytes(&value, &profile)),
            });
        }
        Ok(rows)
    }

    /// Removes a profile with all that leads to it, in one batch that the next synced one makes
    /// durable. Identifiers that another profile has taken over stay its.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn remove(&self, stored: &Stored) -> Result<(), StoreError> {
        let id = stored.profile.id.0.to_be_bytes();
        let mut batch = self.database.batch();
        for identifier in stored.profile.identifiers.iter() {
            let key = identity_key(identifier.namespace, &identifier.value);
            let tied = self.identity.get(&key)?;
            if tied.is_some_and(|tied| *tied == id) {
                batch.remove(&self.identity, key);
            }
        }
        if let Some(at) = stored.due_indexed {
            batch.remove(&self.due, due_key(at, stored.profile.id));
        }
        batch.remove(&self.profiles, id);
        Ok(batch.commit()?)
    }

    /// Rows, identifiers and due times: what all profiles take.
    #[cfg(test)]
    pub fn lengths(&self) -> [usize; 3] {
        [&self.profiles, &self.identity, &self.due].map(|keyspace| keyspace.iter().count())
    }

    /// Writes one atomic batch and syncs it.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing of the batch counts then.
    pub fn write(
        &self,
        profiles: Vec<ProfileWrite>,
        dedup: &[DedupRows],
    ) -> Result<(), StoreError> {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for write in profiles {
            let id = write.id.0.to_be_bytes();
            for (namespace, value) in &write.edges {
                batch.insert(&self.identity, identity_key(*namespace, value), id);
            }
            if write.due_before != write.due {
                if let Some(at) = write.due_before {
                    batch.remove(&self.due, due_key(at, write.id));
                }
                if let Some(at) = write.due {
                    batch.insert(&self.due, due_key(at, write.id), []);
                }
            }
            batch.insert(&self.profiles, id, write.row);
        }
        for rows in dedup {
            let Some((_, first)) = rows.first() else {
                continue;
            };
            let mut packed = Vec::with_capacity(rows.len() * DEDUP_ROW_BYTES);
            for (key, offset) in rows {
                packed.extend_from_slice(&key.to_be_bytes());
                packed.extend_from_slice(&offset.to_be_bytes());
            }
            batch.insert(&self.dedup, first.to_be_bytes(), packed);
        }
        batch.commit()?;
        Ok(())
    }

    /// Reads every deduplication key, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn dedup(&self, mut each: impl FnMut(u128, u64)) -> Result<(), StoreError> {
        for row in self.dedup.iter() {
            let packed = row.value()?;
            for pair in packed.chunks_exact(DEDUP_ROW_BYTES) {
                let (key, offset) = pair.split_at(16);
                each(
                    u128::from_be_bytes(key.try_into().map_err(|_| StoreError::Row)?),
                    u64::from_be_bytes(offset.try_into().map_err(|_| StoreError::Row)?),
                );
            }
        }
        Ok(())
    }

    /// Drops deduplication rows whose keys are all of offsets below `offset`.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn forget_dedup(&self, offset: u64) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        let mut before = None;
        // A row reaches to where the next one begins: the last of these may hold more.
        for row in self.dedup.range(..=offset.to_be_bytes()) {
            if let Some(key) = before.replace(row.key()?) {
                batch.remove(&self.dedup, key);
            }
        }
        batch.commit()?;
        Ok(())
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

    /// Up to `max` rows with an id above `after`, in order of the id. A row that cannot be read
    /// costs only itself.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn page(&self, after: Option<ProfileId>, max: usize) -> Result<Page, StoreError> {
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.0.to_be_bytes()));
        let mut page = Page::default();
        for row in self.profiles.range((from, Bound::Unbounded)).take(max) {
            let (key, row) = row.into_inner()?;
            let id = key.as_ref().try_into().map_err(|_| StoreError::Row)?;
            let id = ProfileId(u128::from_be_bytes(id));
            page.last = Some(id);
            page.rows.push((id, row::read(&row)));
        }
        Ok(page)
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

    /// False once a write failed, its own or that of anybody else in the database: it takes none
    /// any more.
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        self.database.persist(PersistMode::Buffer).is_ok()
    }

    /// Makes a profile's row unreadable, and puts a key that is none before all in the due index.
    #[cfg(test)]
    pub fn damage(&self, id: ProfileId) {
        self.profiles.insert(id.0.to_be_bytes(), [0xff; 3]).unwrap();
        self.due.insert([0, 0, 0, 1, 0], []).unwrap();
    }

    /// Makes the note of the last catch-up unreadable.
    #[cfg(test)]
    pub fn damage_catch_up(&self) {
        self.meta.insert(CATCH_UP, [0xff; 3]).unwrap();
    }

    /// The database, to go on with after an exchange.
    #[cfg(test)]
    pub fn database(&self) -> Database {
        self.database.clone()
    }

    /// Every profile row, for comparing states in tests and in `doctor`.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn profiles(&self, mut each: impl FnMut(Profile)) -> Result<(), StoreError> {
        for row in self.profiles.iter() {
            each(row::read(&row.value()?)?.profile);
        }
        Ok(())
    }
}

/// Checks that this build reads the profiles in `database`; writes nothing.
///
/// # Errors
/// [`StoreError::Format`], [`StoreError::Database`]
pub fn check_format(database: &Database) -> Result<(), StoreError> {
    let is_there = |keyspace: &&str| database.keyspace_exists(keyspace);
    if !is_there(&META) {
        let lost = KEYSPACES.iter().any(is_there);
        return if lost {
            Err(StoreError::Lost { keyspace: META })
        } else {
            Ok(())
        };
    }
    let meta = database.keyspace(META, KeyspaceCreateOptions::default)?;
    match format_of(&meta)? {
        // The number was written after all keyspaces were made.
        Some(format) if (1..=u32::from(FORMAT)).contains(&format) => {
            match KEYSPACES.into_iter().find(|keyspace| !is_there(keyspace)) {
                Some(keyspace) => Err(StoreError::Lost { keyspace }),
                None => Ok(()),
            }
        }
        None if meta.is_empty()? => Ok(()),
        found => Err(StoreError::Format { found }),
    }
}

fn format_of(meta: &Keyspace) -> Result<Option<u32>, StoreError> {
    let number = meta.get("format")?;
    let number = number.map(|number| number.as_ref().try_into().map_err(|_| StoreError::Row));
    Ok(number.transpose()?.map(u32::from_be_bytes))
}

fn identity_key(namespace: Namespace, value: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + value.len());
    key.push(Kind::of(namespace).key);
    key.extend_from_slice(value.as_bytes());
    key
}

/// Where in `meta` a [`CatchUpNote`] stands. Notes of the first form lack the generation; without one
/// a catch-up begins anew.
const CATCH_UP: &str = "catch_up/2";

/// Where in `meta` the [`Holds`] stand.
const HOLDS: &str = "holds/1";

/// Where in `meta` it stands how far the journal was when.
const REACHED: &[u8] = b"reached/";

fn reached_key(at: Timestamp) -> Vec<u8> {
    let at = at.0.max(0).unsigned_abs().to_be_bytes();
    [REACHED, &at].concat()
}

const DUE_KEY_BYTES: usize = 24;

fn due_entry(key: &[u8]) -> Option<(Timestamp, ProfileId)> {
    let (at, id) = key.split_first_chunk::<8>()?;
    let at = i64::try_from(u64::from_be_bytes(*at)).unwrap_or(i64::MAX);
    let id = u128::from_be_bytes(id.try_into().ok()?);
    Some((Timestamp(at), ProfileId(id)))
}

fn due_key(at: Timestamp, id: ProfileId) -> [u8; DUE_KEY_BYTES] {
    let mut key = [0; DUE_KEY_BYTES];
    key[..8].copy_from_slice(&at.0.max(0).unsigned_abs().to_be_bytes());
    key[8..].copy_from_slice(&id.0.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &tempfile::TempDir) -> (Database, Result<Store, StoreError>) {
        let database = Database::builder(directory.path()).open().unwrap();
        (database.clone(), Store::open(database))
    }

    #[test]
    fn a_store_is_opened_again_by_the_build_that_wrote_it() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let (_, store) = open(&directory);
            assert_eq!(store.unwrap().hash_key([7; 16]).unwrap(), [7; 16]);
        }
    }

    #[test]
    fn an_earlier_format_is_raised_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (database, store) = open(&directory);
        let store = store.unwrap();
        store.meta.insert("format", 1u32.to_be_bytes()).unwrap();
        let raised = Store::open(database).unwrap();
        raised.raise_format().unwrap();
        assert_eq!(format_of(&raised.meta).unwrap(), Some(u32::from(FORMAT)));
    }

    #[test]
    fn what_the_store_holds_is_kept_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).1.unwrap();
        assert!(store.is_fresh());
        store.raise_format().unwrap();
        assert_eq!(store.holds().unwrap(), None);
        store.note_holds("journal", 7).unwrap();
        drop(store);
        let store = open(&directory).1.unwrap();
        assert!(!store.is_fresh());
        let journal = "journal".to_owned();
        assert_eq!(store.holds().unwrap(), Some(Holds { journal, upto: 7 }));
    }

    #[test]
    fn a_lost_keyspace_is_named() {
        for lost in KEYSPACES.into_iter().chain([META]) {
            let directory = tempfile::tempdir().unwrap();
            let (database, store) = open(&directory);
            store.unwrap().raise_format().unwrap();
            check_format(&database).unwrap();
            let keyspace = database.keyspace(lost, Default::default).unwrap();
            database.delete_keyspace(keyspace).unwrap();
            let error = check_format(&database).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{lost:?} of the profile store")),
                "{error}"
            );
        }
    }

    #[test]
    fn an_unknown_format_is_refused_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (database, store) = open(&directory);
        let meta = store.unwrap().meta;
        let next = u32::from(FORMAT) + 1;
        meta.insert("format", next.to_be_bytes()).unwrap();
        let newer = check_format(&database).unwrap_err().to_string();
        assert!(newer.contains(&format!("have format {next}")), "{newer}");
        assert!(newer.contains("restore a backup"), "{newer}");
        // Opening it all the same never lowers the number.
        let opened = Store::open(database.clone()).unwrap();
        opened.raise_format().unwrap();
        assert_eq!(format_of(&meta).unwrap(), Some(next));
        // As written before there was a number: only the key of hashes.
        meta.remove("format").unwrap();
        meta.insert("hash_key", [7; 16]).unwrap();
        let older = check_format(&database).unwrap_err();
        assert!(matches!(older, StoreError::Format { found: None }));
    }
}
