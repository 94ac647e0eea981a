//! Storage in memory that fails when asked to, loses what was not synced, and counts what it is
//! asked for.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use fjall::{Error, Slice};
use parking_lot::Mutex;

use crate::outbox::storage::{Durability, Entry, KeyRange, Op, Space, Storage};

type Tree = BTreeMap<Vec<u8>, Option<Slice>>;

/// See the module. Clones share the contents.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    /// None is a tombstone: it is walked over, as in a log-structured tree.
    spaces: BTreeMap<Space, Tree>,
    /// What a loss of power leaves.
    synced: BTreeMap<Space, Tree>,
    /// Batches since the last sync, oldest first.
    unsynced: VecDeque<Vec<Op>>,
    failing_reads: u32,
    failing_writes: u32,
    passing_writes: u32,
    /// A write that fails is stored all the same.
    failed_is_stored: bool,
    poisoned: bool,
    operations: u64,
    writes: u64,
}

impl MemoryStorage {
    /// Fails the next `count` reads of a value or of an entry of a range.
    pub fn fail_reads(&self, count: u32) {
        self.0.lock().failing_reads = count;
    }

    /// Fails the next `count` writes, and all others until [`MemoryStorage::reopen`].
    pub fn fail_writes(&self, count: u32) {
        self.0.lock().failing_writes = count;
    }

    /// Lets `passed` writes pass, and fails the one after them.
    pub fn fail_write_after(&self, passed: u32) {
        let mut contents = self.0.lock();
        contents.passing_writes = passed;
        contents.failing_writes = 1;
    }

    /// Fails the next write after it was stored, as where the sync behind it fails.
    pub fn fail_after_write(&self) {
        let mut contents = self.0.lock();
        contents.failing_writes = 1;
        contents.passing_writes = 0;
        contents.failed_is_stored = true;
    }

    /// Opens it again, as a process does that goes on or was killed: all batches are there.
    pub fn reopen(&self) {
        let contents = &mut *self.0.lock();
        contents.poisoned = false;
        contents.failing_reads = 0;
        contents.failing_writes = 0;
        contents.passing_writes = 0;
        contents.failed_is_stored = false;
        // What was removed is gone from an opened tree.
        for space in contents.spaces.values_mut() {
            space.retain(|_, value| value.is_some());
        }
    }

    /// A loss of power that leaves the first `kept` of the batches that were not synced.
    pub fn lose_power(&self, kept: usize) {
        let contents = &mut *self.0.lock();
        let unsynced = std::mem::take(&mut contents.unsynced);
        for batch in unsynced.into_iter().take(kept) {
            apply(&mut contents.synced, batch);
        }
        contents.spaces = contents.synced.clone();
    }

    /// Batches that were not synced.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.0.lock().unsynced.len()
    }

    /// Values and entries read, tombstones included, and changes written.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Batches written. Grows with each change of what is stored.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.0.lock().writes
    }

    /// Entries of a keyspace.
    #[must_use]
    pub fn entries(&self, space: Space) -> Vec<(Vec<u8>, Vec<u8>)> {
        let contents = self.0.lock();
        let entries = contents.spaces.get(&space).into_iter().flatten();
        entries
            .filter_map(|(key, value)| Some((key.clone(), value.as_ref()?.to_vec())))
            .collect()
    }

    /// Puts a value there past all failures.
    pub fn overwrite(&self, space: Space, key: &[u8], value: &[u8]) {
        let op = Op::Put(space, key.to_vec(), value.to_vec());
        let contents = &mut *self.0.lock();
        apply(&mut contents.spaces, vec![op.clone()]);
        apply(&mut contents.synced, vec![op]);
    }

    fn read(&self) -> Result<(), Error> {
        let mut contents = self.0.lock();
        contents.operations += 1;
        if contents.failing_reads > 0 {
            contents.failing_reads -= 1;
            return Err(failure("read"));
        }
        Ok(())
    }
}

impl Contents {
    fn may_write(&mut self) -> Result<(), Error> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        if self.failing_writes > 0 && self.passing_writes > 0 {
            self.passing_writes -= 1;
        } else if self.failing_writes > 0 {
            self.failing_writes -= 1;
            self.poisoned = true;
            return Err(failure("write"));
        }
        Ok(())
    }

    fn sync(&mut self) {
        for batch in std::mem::take(&mut self.unsynced) {
            apply(&mut self.synced, batch);
        }
    }
}

fn failure(what: &str) -> Error {
    Error::Io(io::Error::other(format!("simulated {what} failure")))
}

fn apply(spaces: &mut BTreeMap<Space, Tree>, ops: Vec<Op>) {
    for op in ops {
        match op {
            Op::Put(space, key, value) => {
                let value = Some(Slice::from(value));
                spaces.entry(space).or_default().insert(key, value);
            }
            Op::Remove(space, key) => {
                if let Some(value) = spaces.entry(space).or_default().get_mut(&key) {
                    *value = None;
                }
            }
        }
    }
}

impl Storage for MemoryStorage {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, Error> {
        self.read()?;
        let contents = self.0.lock();
        let found = contents.spaces.get(&space).and_then(|all| all.get(key));
        Ok(found.cloned().flatten())
    }

    fn range<'a>(
        &'a self,
        space: Space,
        range: KeyRange,
    ) -> Box<dyn DoubleEndedIterator<Item = Entry> + 'a> {
        let contents = self.0.lock();
        let all = contents.spaces.get(&space);
        let found = all.map(|all| {
            all.range(range)
                .map(|(key, value)| (key.clone(), value.clone()))
        });
        let found: Vec<_> = found.into_iter().flatten().collect();
        drop(contents);
        Box::new(
            found
                .into_iter()
                .filter_map(|(key, value)| match (self.read(), value) {
                    (Ok(()), Some(value)) => Some(Ok((Slice::from(key), value))),
                    (Ok(()), None) => None,
                    (Err(error), _) => Some(Err(error)),
                }),
        )
    }

    fn commit(&self, ops: Vec<Op>, durability: Durability) -> Result<(), Error> {
        let contents = &mut *self.0.lock();
        let was_open = !contents.poisoned;
        let written = contents.may_write();
        if written.is_ok() || (was_open && contents.failed_is_stored) {
            contents.operations += ops.len() as u64;
            contents.writes += 1;
            apply(&mut contents.spaces, ops.clone());
            contents.unsynced.push_back(ops);
        }
        if written.is_ok() && durability == Durability::Synced {
            contents.sync();
        }
        written
    }

    fn persist(&self) -> Result<(), Error> {
        let contents = &mut *self.0.lock();
        contents.may_write()?;
        contents.sync();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::storage::prefix;

    fn put(storage: &MemoryStorage, key: u8, durability: Durability) -> Result<(), Error> {
        let op = Op::Put(Space::Jobs, vec![key], vec![key]);
        storage.commit(vec![op], durability)
    }

    #[test]
    fn a_failed_write_poisons_until_it_is_opened_again() {
        let storage = MemoryStorage::default();
        storage.fail_writes(1);
        assert!(put(&storage, 1, Durability::Buffered).is_err());
        assert!(put(&storage, 2, Durability::Buffered).is_err());
        storage.reopen();
        assert!(put(&storage, 3, Durability::Buffered).is_ok());
        assert_eq!(storage.entries(Space::Jobs).len(), 1);
    }

    #[test]
    fn a_write_may_fail_after_it_was_stored() {
        let storage = MemoryStorage::default();
        storage.fail_after_write();
        assert!(put(&storage, 1, Durability::Synced).is_err());
        assert!(put(&storage, 2, Durability::Synced).is_err());
        storage.reopen();
        let keys: Vec<_> = storage.entries(Space::Jobs).into_iter().collect();
        assert_eq!((keys.len(), storage.unsynced()), (1, 1));
    }

    #[test]
    fn a_loss_of_power_keeps_what_was_synced() {
        let storage = MemoryStorage::default();
        for (key, durability) in [(1, Durability::Buffered), (2, Durability::Synced)] {
            put(&storage, key, durability).unwrap();
        }
        put(&storage, 3, Durability::Buffered).unwrap();
        put(&storage, 4, Durability::Buffered).unwrap();
        storage.lose_power(1);
        let keys: Vec<_> = storage.entries(Space::Jobs).into_iter().collect();
        assert_eq!(keys.len(), 3);
        assert_eq!(storage.unsynced(), 0);
    }

    #[test]
    fn a_range_counts_the_tombstones_it_walks_over() {
        let storage = MemoryStorage::default();
        for key in 0..10 {
            put(&storage, key, Durability::Buffered).unwrap();
            let remove = Op::Remove(Space::Jobs, vec![key]);
            storage.commit(vec![remove], Durability::Buffered).unwrap();
        }
        put(&storage, 10, Durability::Buffered).unwrap();
        let before = storage.operations();
        assert!(storage.range(Space::Jobs, prefix(&[])).next().is_some());
        assert_eq!(storage.operations() - before, 11);
    }
}
