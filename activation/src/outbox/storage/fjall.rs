//! The outbox's keyspaces in the database that the collector owns.

use std::fmt;

use ::fjall::{Database, Error, Keyspace, KeyspaceCreateOptions, PersistMode, Slice};

use super::{Durability, Entry, KeyRange, Op, Space, Storage};

/// Their names, in the order of [`Space::ALL`].
pub(crate) const KEYSPACES: [&str; 5] = [
    "outbox_jobs",
    "outbox_due",
    "outbox_attempted",
    "outbox_dead",
    "outbox_meta",
];

/// See the module.
pub(crate) struct FjallStorage {
    database: Database,
    /// In the order of [`Space::ALL`].
    spaces: [Keyspace; 5],
}

impl fmt::Debug for FjallStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FjallStorage")
    }
}

impl FjallStorage {
    pub(crate) fn open(database: Database) -> Result<Self, Error> {
        let open = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        let [jobs, due, attempted, dead, meta] = KEYSPACES;
        let spaces = [
            open(jobs)?,
            open(due)?,
            open(attempted)?,
            open(dead)?,
            open(meta)?,
        ];
        Ok(Self { database, spaces })
    }

    fn space(&self, space: Space) -> &Keyspace {
        &self.spaces[space as usize]
    }
}

impl Storage for FjallStorage {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, Error> {
        self.space(space).get(key)
    }

    fn range<'a>(
        &'a self,
        space: Space,
        range: KeyRange,
    ) -> Box<dyn DoubleEndedIterator<Item = Entry> + 'a> {
        let entries = self.space(space).range(range);
        Box::new(entries.map(|guard| guard.into_inner()))
    }

    fn commit(&self, ops: Vec<Op>, durability: Durability) -> Result<(), Error> {
        let mut batch = self.database.batch();
        for op in ops {
            match op {
                Op::Put(space, key, value) => batch.insert(self.space(space), key, value),
                Op::Remove(space, key) => batch.remove(self.space(space), key),
            }
        }
        let mode = match durability {
            Durability::Buffered => None,
            Durability::Synced => Some(PersistMode::SyncData),
        };
        batch.durability(mode).commit()
    }

    fn persist(&self) -> Result<(), Error> {
        self.database.persist(PersistMode::SyncData)
    }
}
