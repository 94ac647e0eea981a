//! Profiles at rest in fjall: rows, the identity index, due timers, deduplication keys. Written
//! behind in large batches by the checkpoint, each batch atomic and synced before it counts.

use std::collections::BTreeMap;
use std::ops::Bound;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tidegate_event::record::Namespace;
use tidegate_event::{ProfileId, Timestamp};

use super::Profile;

/// The store failed; what it holds is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database itself.
    #[error("the profile store failed: {0}")]
    Database(#[from] fjall::Error),
    /// Rows of another form than this build's. Nothing was changed.
    #[error(
        "the profiles at rest were written {}, and this build reads format {FORMAT} only; start \
         the tidegate that wrote them, or start with an empty data_dir: profiles and sessions \
         begin anew then, for the journal no longer holds all that they were made of",
        written(*found)
    )]
    Format {
        /// Its number; None: from before there was one.
        found: Option<u32>,
    },
    /// A row that does not parse.
    #[error(
        "a row of the profile store does not parse; the data directory was written by another version or is damaged"
    )]
    Row,
    /// A write failed, and the database is not open again yet.
    #[error(
        "the profile store is closed after a failed write; it is opened again when the disk has room"
    )]
    Closed,
}

/// Which form the rows have. Raised with every change of what a row, an index or a key holds:
/// postcard rows do not say of what they are made.
const FORMAT: u32 = 1;

fn written(found: Option<u32>) -> String {
    found.map_or_else(
        || "before formats had numbers".to_owned(),
        |format| format!("in format {format}"),
    )
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
    /// The row, as [`row`] makes it.
    pub row: Vec<u8>,
    /// Identifiers not in the index yet, or there with another profile.
    pub edges: Vec<(Namespace, Box<str>)>,
    /// The due time that the index holds.
    pub due_before: Option<Timestamp>,
    /// The due time that it shall hold.
    pub due: Option<Timestamp>,
}

/// A profile as it was written.
#[derive(Debug)]
pub struct Stored {
    /// The state.
    pub profile: Profile,
    /// The due time in the index.
    pub due_indexed: Option<Timestamp>,
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
    pub const fn start(segments: u64) -> Self {
        Self {
            segments,
            after: None,
            done: false,
        }
    }
}

/// The bytes of a row.
///
/// # Errors
/// [`StoreError::Row`] cannot happen for a state that the fold made.
pub fn row(profile: &Profile, due_indexed: Option<Timestamp>) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(&(due_indexed, profile)).map_err(|_| StoreError::Row)
}

/// Deduplication keys of one stretch of the journal: key and offset.
pub type DedupRows = Vec<(u128, u64)>;

const DEDUP_ROW_BYTES: usize = 24;
/// What a keyspace gathers in memory before it writes a sorted file: profile rows, all else. With
/// the engine's 64 MiB each, a million visitors' rows would be in memory twice for long.
const PROFILES_MEMTABLE_BYTES: u64 = 16 << 20;
const MEMTABLE_BYTES: u64 = 8 << 20;

impl Store {
    /// Opens the keyspaces in `database`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Format`]
    pub fn open(database: Database) -> Result<Self, StoreError> {
        let keyspace = |name, memtable_bytes| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes)
            })
        };
        let store = Self {
            profiles: keyspace("profiles", PROFILES_MEMTABLE_BYTES)?,
            identity: keyspace("identity", MEMTABLE_BYTES)?,
            due: keyspace("due", MEMTABLE_BYTES)?,
            dedup: keyspace("dedup", MEMTABLE_BYTES)?,
            meta: keyspace("meta", MEMTABLE_BYTES)?,
            database,
        };
        store.check_format()?;
        Ok(store)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let found = self.meta.get("format")?;
        let found = found.map(|number| number.as_ref().try_into().map_err(|_| StoreError::Row));
        match found.transpose()?.map(u32::from_be_bytes) {
            Some(FORMAT) => Ok(()),
            None if self.meta.is_empty()? => {
                self.meta.insert("format", FORMAT.to_be_bytes())?;
                Ok(self.database.persist(PersistMode::SyncData)?)
            }
            found => Err(StoreError::Format { found }),
        }
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
        let row = self.profiles.get(id.0.to_be_bytes())?;
        row.map(|row| stored(&row)).transpose()
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

    /// Up to `max` of the `wanted` profiles whose due time in the index is at or before `until`,
    /// earliest first. It is never later than when something is due, and often earlier.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn due_until(
        &self,
        until: Timestamp,
        max: usize,
        wanted: impl Fn(ProfileId) -> bool,
    ) -> Result<Vec<(Timestamp, ProfileId)>, StoreError> {
        let end = due_key(Timestamp(until.0.saturating_add(1)), ProfileId(0));
        let mut found = Vec::new();
        for row in self.due.range(..end) {
            let key = row.key()?;
            let (at, id) = key.split_first_chunk::<8>().ok_or(StoreError::Row)?;
            let id = id.try_into().map_err(|_| StoreError::Row)?;
            let id = ProfileId(u128::from_be_bytes(id));
            if !wanted(id) {
                continue;
            }
            let at = i64::try_from(u64::from_be_bytes(*at)).unwrap_or(i64::MAX);
            found.push((Timestamp(at), id));
            if found.len() >= max {
                break;
            }
        }
        Ok(found)
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
            page.rows.push((id, stored(&row)));
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
            return Ok(CatchUpNote::start(CatchUpNote::NO_SEGMENTS));
        };
        let (segments, after, done) = postcard::from_bytes(&noted).map_err(|_| StoreError::Row)?;
        Ok(CatchUpNote {
            segments,
            after: Option::<u128>::map(after, ProfileId),
            done,
        })
    }

    /// Notes how far a catch-up is; may be lost in a crash.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn note_catch_up(&self, note: CatchUpNote) -> Result<(), StoreError> {
        let fields = (note.segments, note.after.map(|id| id.0), note.done);
        let bytes = postcard::to_stdvec(&fields).map_err(|_| StoreError::Row)?;
        Ok(self.meta.insert(CATCH_UP, bytes)?)
    }

    /// False once a write failed, its own or that of anybody else in the database: it takes none
    /// any more.
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        self.database.persist(PersistMode::Buffer).is_ok()
    }

    /// Every profile row, for comparing states in tests and in `doctor`.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn profiles(&self, mut each: impl FnMut(Profile)) -> Result<(), StoreError> {
        for row in self.profiles.iter() {
            each(stored(&row.value()?)?.profile);
        }
        Ok(())
    }
}

fn stored(row: &[u8]) -> Result<Stored, StoreError> {
    let (due_indexed, profile) = postcard::from_bytes(row).map_err(|_| StoreError::Row)?;
    Ok(Stored {
        profile,
        due_indexed,
    })
}

fn identity_key(namespace: Namespace, value: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + value.len());
    key.push(match namespace {
        Namespace::UserId => b'u',
        Namespace::AnonymousId => b'a',
    });
    key.extend_from_slice(value.as_bytes());
    key
}

/// Where in `meta` a [`CatchUpNote`] stands.
const CATCH_UP: &str = "catch_up/1";

/// Where in `meta` it stands how far the journal was when.
const REACHED: &[u8] = b"reached/";

fn reached_key(at: Timestamp) -> Vec<u8> {
    let at = at.0.max(0).unsigned_abs().to_be_bytes();
    [REACHED, &at].concat()
}

fn due_key(at: Timestamp, id: ProfileId) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&at.0.max(0).unsigned_abs().to_be_bytes());
    key[8..].copy_from_slice(&id.0.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use tidegate_event::record::SessionRef;
    use tidegate_event::{
        AggregateHit, AggregateId, AggregateKind, AggregateSpec, HitValue, SegmentId, VisitorId,
    };

    use super::*;
    use crate::profile::fold;

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
    fn rows_of_another_format_are_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let (database, store) = open(&directory);
        let meta = store.unwrap().meta;
        meta.insert("format", (FORMAT + 1).to_be_bytes()).unwrap();
        let newer = Store::open(database.clone()).unwrap_err().to_string();
        assert!(newer.contains("format 2, and this build reads"), "{newer}");
        assert!(newer.contains("empty data_dir"), "{newer}");
        // As written before there was a number: only the key of hashes.
        meta.remove("format").unwrap();
        meta.insert("hash_key", [7; 16]).unwrap();
        let older = Store::open(database).unwrap_err();
        assert!(matches!(older, StoreError::Format { found: None }));
    }

    /// One of each thing that a row may hold.
    fn everything() -> Profile {
        let at = Timestamp(1_800_000_000_000);
        let mut profile = Profile::new(ProfileId(1));
        fold::begin(&mut profile, at);
        let session = SessionRef {
            id: 2,
            visitor: VisitorId(3),
            index: 1,
            gap_ms: 1_800_000,
        };
        fold::session_start(&mut profile, session, at);
        let spec = AggregateSpec {
            id: AggregateId(8),
            kind: AggregateKind::Count,
            window_ms: 60_000,
        };
        let value = HitValue::Matched;
        profile.cells.add(&AggregateHit { spec, value }, at, at);
        profile.memberships.set(SegmentId(4), 1, true);
        profile.identifiers.push(Namespace::UserId, at, "ada");
        profile.traits = Some("{}".into());
        profile.wake_up = Some(at).into();
        profile.alias_of = Some(Box::new(ProfileId(5)));
        profile
    }

    /// Where this fails on purpose, raise [`FORMAT`] and write the new bytes here.
    #[test]
    fn the_form_of_a_row_changes_only_with_its_format() {
        let row = row(&everything(), Some(Timestamp(1_800_000_000_000))).unwrap();
        let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (FORMAT, &*hex),
            (
                1,
                "0180c0e285e3680180c0e285e368000105010080c0e285e3680361646101030101020000000000000000000000000000000380c0e285e36880c0e285e368809dbe87e368ffffffffffffffffff0101c0ee6d0000000000000000010880a4a7da06010104030180c0e285e36801027b7dfeffffffffffffffff01ffffffffffffffffff01000001000000"
            )
        );
    }
}
