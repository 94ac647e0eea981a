//! Profiles at rest in fjall: rows, the identity index, due timers, deduplication keys. Written
//! behind in large batches by the checkpoint, each batch atomic and synced before it counts.

mod error;
mod format;
mod due;
mod dedup;
mod notes;
#[cfg(test)]
mod tests;

use std::ops::Bound;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tidegate_event::record::Namespace;
use tidegate_event::{ProfileId, Timestamp};

pub use dedup::DedupRows;
pub use due::{DueFrom, DuePage};
pub use error::{REMEDY, StoreError};
pub use format::check_format;
pub use notes::{CatchUpNote, Holds};

use super::Profile;
use super::row::{self, Stored};
use crate::identity::kinds::Kind;
use due::{DUE_KEY_BYTES, due_key};
use format::format_of;

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
    /// [`Profile::active_at`]; None where the row does not parse.
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

/// Rows in order of the id.
#[derive(Debug, Default)]
pub struct Page {
    /// Each row, or why it cannot be read.
    pub rows: Vec<(ProfileId, Result<Stored, StoreError>)>,
    /// The last id; None where no row is left.
    pub last: Option<ProfileId>,
}

const META: &str = "meta";
/// The others.
const KEYSPACES: [&str; 4] = ["profiles", "identity", "due", "dedup"];
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
                last_seen: profile.as_ref().map(Profile::active_at),
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
            batch.insert(&self.dedup, first.to_be_bytes(), dedup::packed(rows));
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

fn identity_key(namespace: Namespace, value: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + value.len());
    key.push(Kind::of(namespace).key);
    key.extend_from_slice(value.as_bytes());
    key
}
