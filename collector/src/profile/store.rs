//! Profiles at rest in fjall: rows, the identity index, due timers, deduplication keys. Written
//! behind in large batches by the checkpoint, each batch atomic and synced before it counts.

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
    /// A row that does not parse.
    #[error(
        "a row of the profile store does not parse; the data directory was written by another version or is damaged"
    )]
    Row,
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
    /// [`StoreError::Database`]
    pub fn open(database: Database) -> Result<Self, StoreError> {
        let keyspace = |name, memtable_bytes| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes)
            })
        };
        Ok(Self {
            profiles: keyspace("profiles", PROFILES_MEMTABLE_BYTES)?,
            identity: keyspace("identity", MEMTABLE_BYTES)?,
            due: keyspace("due", MEMTABLE_BYTES)?,
            dedup: keyspace("dedup", MEMTABLE_BYTES)?,
            meta: keyspace("meta", MEMTABLE_BYTES)?,
            database,
        })
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

    /// Drops deduplication rows that begin below `offset`.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn forget_dedup(&self, offset: u64) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        for row in self.dedup.range(..offset.to_be_bytes()) {
            batch.remove(&self.dedup, row.key()?);
        }
        batch.commit()?;
        Ok(())
    }

    /// Bytes on disk, journal of the store included.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
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

fn due_key(at: Timestamp, id: ProfileId) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&at.0.max(0).unsigned_abs().to_be_bytes());
    key[8..].copy_from_slice(&id.0.to_be_bytes());
    key
}
