//! The durable side: rows, their due index, the newest attempts, dead letters and the cursor, in
//! keyspaces of the database that the collector owns. One batch is one atomic write.

pub(crate) mod storage;
mod keys;
mod row;
mod write;
mod keeper;
mod dead_index;
mod prune;
mod settle;
mod refill;

use std::collections::BTreeMap;
use std::sync::Arc;

use fjall::{Database, KeyspaceCreateOptions, Slice};
use tidegate_event::Timestamp;

pub(crate) use dead_index::{DeadEntry, DeadIndex};
pub use keeper::Step;
pub(crate) use keeper::{Command, Ending, Keeper, Settlement};
pub(crate) use keys::DestinationId;
pub(crate) use prune::keep_dead;
pub use row::FORMAT;
pub(crate) use write::Write;

use self::storage::{Durability, Op, Space, Storage, from, prefix};
use crate::dead_letter::DeadRow;
use crate::error::StoreError;
use crate::intent::{Attempted, Key, Row};
use crate::queue::{Due, Waiting};
use row::read;

const META: &str = "outbox_meta";
const FORMAT_KEY: &[u8] = b"format";
const CURSOR: &[u8] = b"cursor";
const CLOCK: &[u8] = b"clock";
/// Rows removed in one batch.
const FORGET_MAX: usize = 4_096;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    storage: Arc<dyn Storage>,
}

impl Outbox {
    /// Of a storage that [`check_format`] found readable.
    pub(crate) fn open(storage: Arc<dyn Storage>) -> Result<Self, StoreError> {
        let outbox = Self { storage };
        let found = outbox.storage.get(Space::Meta, FORMAT_KEY)?;
        let found = found.as_deref().map(format_number).transpose()?;
        // Raised before the first value of this format is written, so that an earlier build
        // refuses the outbox from then on.
        if found.is_none_or(|found| found < u32::from(FORMAT)) {
            let format = u32::from(FORMAT).to_be_bytes().to_vec();
            let put = Op::Put(Space::Meta, FORMAT_KEY.to_vec(), format);
            outbox.storage.commit(vec![put], Durability::Synced)?;
        }
        // A hand-in that was written when the process was killed, or whose sync failed, is read as
        // stored from now on: the journal lets its records go.
        outbox.storage.persist()?;
        Ok(outbox)
    }

    pub(crate) fn write(&self) -> Write<'_> {
        Write::new(&*self.storage)
    }

    pub(crate) fn persist(&self) -> Result<(), StoreError> {
        Ok(self.storage.persist()?)
    }

    pub(crate) fn cursor(&self) -> Result<u64, StoreError> {
        match self.storage.get(Space::Meta, CURSOR)? {
            Some(value) => keys::number(&value).ok_or(StoreError::Malformed),
            None => Ok(0),
        }
    }

    /// The time of the newest write that noted it.
    pub(crate) fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        let value = self.storage.get(Space::Meta, CLOCK)?;
        let ms = value.and_then(|value| keys::number(&value));
        Ok(ms.and_then(|ms| i64::try_from(ms).ok()).map(Timestamp))
    }

    /// The fingerprint under which a destination answered 410, if it did.
    pub(crate) fn disabled(&self, id: DestinationId) -> Result<Option<u64>, StoreError> {
        let mark = self.storage.get(Space::Meta, &keys::disabled(id))?;
        Ok(mark.and_then(|value| keys::number(&value)))
    }

    /// Every destination that answered 410 and was not enabled since.
    pub(crate) fn all_disabled(&self) -> Result<Vec<DestinationId>, StoreError> {
        let id_of = |key: &[u8]| keys::disabled_id(key).ok_or(StoreError::Malformed);
        let marks = self.keys(Space::Meta, keys::DISABLED);
        marks.map(|key| id_of(&key?)).collect()
    }

    /// What each destination has stored: the keys of its rows, and its dead letters.
    pub(crate) fn kept(&self) -> Result<BTreeMap<DestinationId, Kept>, StoreError> {
        let mut kept: BTreeMap<DestinationId, Kept> = BTreeMap::new();
        let id_of = |key: &[u8]| keys::destination_of(key).ok_or(StoreError::Malformed);
        for key in self.keys(Space::Jobs, &[]) {
            let key = key?;
            let of = kept.entry(id_of(&key)?).or_default();
            of.rows += 1;
            if let Some(key) = keys::job_key(&key) {
                of.waiting.add(key);
            }
        }
        for entry in self.storage.range(Space::Dead, prefix(&[])) {
            let (key, value) = entry?;
            let number = keys::dead_number(&key).ok_or(StoreError::Malformed)?;
            let letter = read(&value).ok().map(|dead| DeadEntry::of(&dead));
            let of = kept.entry(id_of(&key)?).or_default();
            of.dead_letters.add(number, letter);
        }
        Ok(kept)
    }

    /// Removes some rows of a destination, their due entries and its dead letters. Empty where
    /// nothing is left.
    pub(crate) fn forget_some(&self, id: DestinationId) -> Result<Write<'_>, StoreError> {
        let mut write = self.write();
        for space in [Space::Jobs, Space::Due, Space::Dead] {
            for key in self.keys(space, &id.bytes()).take(FORGET_MAX) {
                write.remove(space, key?.to_vec());
            }
        }
        Ok(write)
    }

    /// All rows of a key, oldest first.
    pub(crate) fn rows(&self, id: DestinationId, key: &Key) -> Result<Rows, StoreError> {
        let mut rows = Rows::default();
        let within = prefix(&keys::key(id, key));
        for entry in self.storage.range(Space::Jobs, within) {
            let (raw_key, value) = entry?;
            match read(&value) {
                Ok(row) => rows.readable.push(row),
                Err(_) => rows.malformed.push((raw_key.to_vec(), value.to_vec())),
            }
        }
        Ok(rows)
    }

    /// The newest row of a key.
    pub(crate) fn newest(&self, id: DestinationId, key: &Key) -> Result<Option<Row>, StoreError> {
        let within = prefix(&keys::key(id, key));
        let last = self.storage.range(Space::Jobs, within).next_back();
        last.map(|entry| read(&entry?.1)).transpose()
    }

    /// Due entries of a destination in order of time, from `first` on.
    pub(crate) fn due(
        &self,
        id: DestinationId,
        first: Timestamp,
    ) -> impl Iterator<Item = Result<(Key, Due), StoreError>> {
        let range = from(keys::due_prefix(id, first), &id.bytes());
        self.storage
            .range(Space::Due, range)
            .map(|entry| keys::read_due(&entry?.0).ok_or(StoreError::Malformed))
    }

    pub(crate) fn attempted(
        &self,
        id: DestinationId,
        key: &Key,
    ) -> Result<Option<Attempted>, StoreError> {
        let value = self.storage.get(Space::Attempted, &keys::key(id, key))?;
        value.map(|value| read(&value)).transpose()
    }

    /// Attempts older than `before` whose keys have no rows, at most `most` looked at. One that
    /// does not parse is among them.
    pub(crate) fn stale_attempts(
        &self,
        before: Timestamp,
        first: &[u8],
        most: usize,
    ) -> Result<StaleAttempts, StoreError> {
        let mut stale = StaleAttempts::default();
        let range = from(first.to_vec(), &[]);
        for (seen, entry) in self.storage.range(Space::Attempted, range).enumerate() {
            let (key, value) = entry?;
            if seen == most {
                stale.next = key.to_vec();
                break;
            }
            match read::<Attempted>(&value) {
                Ok(attempt) if attempt.at >= before => {}
                Ok(_) if self.keys(Space::Jobs, &key).next().is_some() => {}
                Ok(_) => stale.keys.push(key.to_vec()),
                Err(_) => {
                    stale.malformed += 1;
                    stale.keys.push(key.to_vec());
                }
            }
        }
        Ok(stale)
    }

    pub(crate) fn dead_one(
        &self,
        id: DestinationId,
        number: u64,
    ) -> Result<Option<DeadRow>, StoreError> {
        let value = self.storage.get(Space::Dead, &keys::dead(id, number))?;
        value.map(|value| read(&value)).transpose()
    }

    /// One past the highest number of any dead letter.
    pub(crate) fn next_dead_number(&self) -> Result<u64, StoreError> {
        let mut next = 0;
        for key in self.keys(Space::Dead, &[]) {
            next = next.max(keys::dead_number(&key?).unwrap_or(0) + 1);
        }
        Ok(next)
    }

    fn keys<'a>(
        &'a self,
        space: Space,
        within: &[u8],
    ) -> impl Iterator<Item = Result<Slice, StoreError>> + use<'a> {
        let entries = self.storage.range(space, prefix(within));
        entries.map(|entry| Ok(entry?.0))
    }
}

/// What one destination has stored.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) rows: u64,
    pub(crate) waiting: Waiting,
    pub(crate) dead_letters: DeadIndex,
}

/// The rows of one key.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) readable: Vec<Row>,
    /// Keys and bytes of rows that do not parse.
    pub(crate) malformed: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Attempts to forget, and where to look on; empty is the beginning.
#[derive(Debug, Default)]
pub(crate) struct StaleAttempts {
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) malformed: u64,
    pub(crate) next: Vec<u8>,
}

/// Checks that this build reads the outbox in `database`; writes nothing.
///
/// # Errors
/// [`StoreError::Format`], [`StoreError::Engine`]
pub fn check_format(database: &Database) -> Result<(), StoreError> {
    let mut missing = storage::KEYSPACES.into_iter();
    let missing = missing.find(|keyspace| !database.keyspace_exists(keyspace));
    if !database.keyspace_exists(META) {
        let mut all = storage::KEYSPACES.into_iter();
        let lost = all.any(|keyspace| database.keyspace_exists(keyspace));
        let error = StoreError::Lost { keyspace: META };
        return if lost { Err(error) } else { Ok(()) };
    }
    let meta = database.keyspace(META, KeyspaceCreateOptions::default)?;
    let found = meta.get(FORMAT_KEY)?;
    let found = found.as_deref().map(format_number).transpose()?;
    let is_known = match found {
        Some(format) => (1..=u32::from(FORMAT)).contains(&format),
        None => meta.is_empty()?,
    };
    if !is_known {
        return Err(StoreError::Format { found });
    }
    // The number was written after all keyspaces were made.
    match missing.filter(|_| found.is_some()) {
        Some(keyspace) => Err(StoreError::Lost { keyspace }),
        None => Ok(()),
    }
}

fn format_number(stored: &[u8]) -> Result<u32, StoreError> {
    let bytes = stored.try_into().map_err(|_| StoreError::Malformed)?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use fjall::Database;

    use super::storage::FjallStorage;
    use super::*;

    #[test]
    fn what_an_opening_finds_is_synced() {
        let storage = crate::simulation::MemoryStorage::default();
        let open = || Outbox::open(Arc::new(storage.clone())).unwrap();
        let outbox = open();
        let mut write = outbox.write();
        write.set_cursor(7);
        write.commit(Durability::Buffered).unwrap();
        storage.reopen();
        assert_eq!(open().cursor().unwrap(), 7);
        storage.lose_power(0);
        assert_eq!(
            open().cursor().unwrap(),
            7,
            "the journal's cursor followed it"
        );
    }

    #[test]
    fn an_unknown_format_is_refused_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::builder(directory.path()).open().unwrap();
        let open = || Outbox::open(Arc::new(FjallStorage::open(database.clone()).unwrap()));
        let outbox = open().unwrap();
        let mut write = outbox.write();
        write.set_cursor(7);
        write.commit(Durability::Buffered).unwrap();
        assert_eq!(open().unwrap().cursor().unwrap(), 7);
        let meta = database.keyspace(META, Default::default).unwrap();
        let next = u32::from(FORMAT) + 1;
        meta.insert(FORMAT_KEY, next.to_be_bytes()).unwrap();
        let newer = check_format(&database).unwrap_err().to_string();
        assert!(newer.contains(&format!("have format {next}")), "{newer}");
        assert!(newer.contains("restore a backup"), "{newer}");
        // Opening it all the same never lowers the number.
        drop(open().unwrap());
        assert_eq!(*meta.get(FORMAT_KEY).unwrap().unwrap(), next.to_be_bytes());
        // As written before there was a number.
        meta.remove("format").unwrap();
        let older = check_format(&database).unwrap_err();
        assert!(matches!(older, StoreError::Format { found: None }));
    }

    #[test]
    fn a_lost_keyspace_is_named() {
        for lost in storage::KEYSPACES {
            let directory = tempfile::tempdir().unwrap();
            let database = Database::builder(directory.path()).open().unwrap();
            let storage = Arc::new(FjallStorage::open(database.clone()).unwrap());
            drop(Outbox::open(storage).unwrap());
            check_format(&database).unwrap();
            let keyspace = database.keyspace(lost, Default::default).unwrap();
            database.delete_keyspace(keyspace).unwrap();
            let error = check_format(&database).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{lost:?} of the stored")),
                "{error}"
            );
        }
    }

    #[test]
    fn an_earlier_format_is_raised_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::builder(directory.path()).open().unwrap();
        let open = || Outbox::open(Arc::new(FjallStorage::open(database.clone()).unwrap()));
        drop(open().unwrap());
        let meta = database.keyspace(META, Default::default).unwrap();
        meta.insert(FORMAT_KEY, 1u32.to_be_bytes()).unwrap();
        drop(open().unwrap());
        let raised = meta.get(FORMAT_KEY).unwrap().unwrap();
        assert_eq!(*raised, u32::from(FORMAT).to_be_bytes());
    }
}
