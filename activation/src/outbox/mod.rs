//! The durable side: rows, their due index, the newest attempts, dead letters and the cursor, in
//! keyspaces of the database that the collector owns. One batch is one atomic write.

mod keys;
mod row;
mod settle;

use std::collections::HashMap;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tidegate_event::Timestamp;

pub(crate) use keys::DestinationId;
pub use row::FORMAT;
pub(crate) use settle::{Command, Ending, Settlement, run, trim_dead};

use crate::dead_letter::DeadRow;
use crate::error::StoreError;
use crate::intent::{Attempted, Key, Row};
use crate::queue::{Due, DueChange};
use row::{read, write};

const META: &str = "outbox_meta";
const CURSOR: &[u8] = b"cursor";
/// Rows removed in one batch.
const FORGET_MAX: usize = 4_096;

/// See the module.
#[derive(Clone)]
pub(crate) struct Outbox {
    database: Database,
    jobs: Keyspace,
    due: Keyspace,
    attempted: Keyspace,
    dead: Keyspace,
    meta: Keyspace,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox")
    }
}

impl Outbox {
    pub(crate) fn open(database: Database) -> Result<Self, StoreError> {
        check_format(&database)?;
        let open = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        let outbox = Self {
            jobs: open("outbox_jobs")?,
            due: open("outbox_due")?,
            attempted: open("outbox_attempted")?,
            dead: open("outbox_dead")?,
            meta: open(META)?,
            database,
        };
        outbox.raise_format()?;
        Ok(outbox)
    }

    /// Raises the number before the first value of this format is written, so that an earlier
    /// build refuses the outbox from then on.
    fn raise_format(&self) -> Result<(), StoreError> {
        if format_of(&self.meta)? != Some(u32::from(FORMAT)) {
            self.meta
                .insert("format", u32::from(FORMAT).to_be_bytes())?;
            self.persist()?;
        }
        Ok(())
    }

    pub(crate) fn write(&self) -> Write<'_> {
        Write {
            outbox: self,
            batch: self.database.batch(),
        }
    }

    pub(crate) fn persist(&self) -> Result<(), StoreError> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    pub(crate) fn cursor(&self) -> Result<u64, StoreError> {
        match self.meta.get(CURSOR)? {
            Some(value) => keys::number(&value).ok_or(StoreError::Malformed),
            None => Ok(0),
        }
    }

    /// The fingerprint under which a destination answered 410, if it did.
    pub(crate) fn disabled(&self, id: DestinationId) -> Result<Option<u64>, StoreError> {
        Ok(self
            .meta
            .get(keys::disabled(id))?
            .and_then(|value| keys::number(&value)))
    }

    /// Every destination that answered 410 and was not enabled since.
    pub(crate) fn all_disabled(&self) -> Result<Vec<DestinationId>, StoreError> {
        let id_of = |key: &[u8]| keys::disabled_id(key).ok_or(StoreError::Malformed);
        let marks = self.meta.prefix(keys::DISABLED);
        marks.map(|guard| id_of(&guard.key()?)).collect()
    }

    /// What each destination has at rest that has anything.
    pub(crate) fn kept(&self) -> Result<HashMap<DestinationId, Kept>, StoreError> {
        let mut kept: HashMap<DestinationId, Kept> = HashMap::new();
        let id_of = |key: &[u8]| keys::destination_of(key).ok_or(StoreError::Malformed);
        for guard in self.jobs.iter() {
            kept.entry(id_of(&guard.key()?)?).or_default().rows += 1;
        }
        for guard in self.dead.iter() {
            kept.entry(id_of(&guard.key()?)?).or_default().dead += 1;
        }
        Ok(kept)
    }

    /// Removes all rows of a destination, their due entries and its dead letters.
    pub(crate) fn forget(&self, id: DestinationId) -> Result<(), StoreError> {
        for keyspace in [&self.jobs, &self.due, &self.dead] {
            loop {
                let mut batch = self.database.batch();
                let mut removed = 0;
                for guard in keyspace.prefix(id.bytes()).take(FORGET_MAX) {
                    batch.remove(keyspace, guard.key()?);
                    removed += 1;
                }
                batch.commit()?;
                if removed < FORGET_MAX {
                    break;
                }
            }
        }
        Ok(())
    }

    /// All rows of a key, oldest first.
    pub(crate) fn rows(&self, id: DestinationId, key: &Key) -> Result<Vec<Row>, StoreError> {
        self.jobs
            .prefix(keys::key(id, key))
            .map(|guard| read(&guard.value()?))
            .collect()
    }

    /// The newest row of a key.
    pub(crate) fn newest(&self, id: DestinationId, key: &Key) -> Result<Option<Row>, StoreError> {
        let last = self.jobs.prefix(keys::key(id, key)).next_back();
        last.map(|guard| read(&guard.value()?)).transpose()
    }

    /// Due entries of a destination in order of time, from `from` on.
    pub(crate) fn due(
        &self,
        id: DestinationId,
        from: Timestamp,
    ) -> impl Iterator<Item = Result<(Key, Due), StoreError>> {
        let range = keys::due_range(id, from);
        self.due
            .range(range)
            .map(|guard| keys::read_due(&guard.key()?).ok_or(StoreError::Malformed))
    }

    pub(crate) fn attempted(
        &self,
        id: DestinationId,
        key: &Key,
    ) -> Result<Option<Attempted>, StoreError> {
        self.attempted
            .get(keys::key(id, key))?
            .map(|value| read(&value))
            .transpose()
    }

    /// Attempts older than `before` whose keys have no rows, at most `most` looked at.
    pub(crate) fn stale_attempts(
        &self,
        before: Timestamp,
        from: &[u8],
        most: usize,
    ) -> Result<StaleAttempts, StoreError> {
        let mut stale = StaleAttempts::default();
        for (seen, guard) in self.attempted.range(from.to_vec()..).enumerate() {
            let (key, value) = guard.into_inner()?;
            if seen == most {
                stale.next = key.to_vec();
                break;
            }
            let attempt: Attempted = read(&value)?;
            if attempt.at < before && self.jobs.prefix(&key).next().is_none() {
                stale.keys.push(key.to_vec());
            }
        }
        Ok(stale)
    }

    /// Dead letters of a destination, newest first.
    pub(crate) fn dead(
        &self,
        id: DestinationId,
    ) -> impl Iterator<Item = Result<(u64, DeadRow), StoreError>> {
        self.dead.prefix(id.bytes()).rev().map(|guard| {
            let (key, value) = guard.into_inner()?;
            let number = keys::dead_number(&key).ok_or(StoreError::Malformed)?;
            Ok((number, read(&value)?))
        })
    }

    pub(crate) fn dead_one(
        &self,
        id: DestinationId,
        number: u64,
    ) -> Result<Option<DeadRow>, StoreError> {
        self.dead
            .get(keys::dead(id, number))?
            .map(|value| read(&value))
            .transpose()
    }

    /// Numbers of a destination's dead letters, oldest first.
    pub(crate) fn dead_numbers(
        &self,
        id: DestinationId,
    ) -> impl Iterator<Item = Result<u64, StoreError>> {
        self.dead
            .prefix(id.bytes())
            .map(|guard| keys::dead_number(&guard.key()?).ok_or(StoreError::Malformed))
    }

    /// One past the highest number of any dead letter.
    pub(crate) fn next_dead_number(&self) -> Result<u64, StoreError> {
        let mut next = 0;
        for guard in self.dead.iter() {
            next = next.max(keys::dead_number(&guard.key()?).unwrap_or(0) + 1);
        }
        Ok(next)
    }
}

/// What one destination has at rest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) rows: u64,
    pub(crate) dead: u64,
}

/// Attempts to forget, and where to look on; empty is the beginning.
#[derive(Debug, Default)]
pub(crate) struct StaleAttempts {
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) next: Vec<u8>,
}

/// One atomic write under construction.
pub(crate) struct Write<'a> {
    outbox: &'a Outbox,
    batch: fjall::OwnedWriteBatch,
}

impl Write<'_> {
    pub(crate) fn put_row(&mut self, id: DestinationId, row: &Row) -> Result<(), StoreError> {
        let key = keys::job(id, &row.key(), row.intent.offset);
        self.batch.insert(&self.outbox.jobs, key, write(row)?);
        Ok(())
    }

    pub(crate) fn remove_row(&mut self, id: DestinationId, key: &Key, offset: u64) {
        self.batch
            .remove(&self.outbox.jobs, keys::job(id, key, offset));
    }

    pub(crate) fn change_due(&mut self, id: DestinationId, key: &Key, change: DueChange) {
        if let Some(due) = change.remove {
            self.batch.remove(&self.outbox.due, keys::due(id, key, due));
        }
        if let Some(due) = change.put {
            self.batch
                .insert(&self.outbox.due, keys::due(id, key, due), []);
        }
    }

    pub(crate) fn put_attempted(
        &mut self,
        id: DestinationId,
        key: &Key,
        attempted: &Attempted,
    ) -> Result<(), StoreError> {
        self.batch.insert(
            &self.outbox.attempted,
            keys::key(id, key),
            write(attempted)?,
        );
        Ok(())
    }

    pub(crate) fn forget_attempted(&mut self, raw_key: Vec<u8>) {
        self.batch.remove(&self.outbox.attempted, raw_key);
    }

    pub(crate) fn put_dead(
        &mut self,
        id: DestinationId,
        number: u64,
        row: &DeadRow,
    ) -> Result<(), StoreError> {
        self.batch
            .insert(&self.outbox.dead, keys::dead(id, number), write(row)?);
        Ok(())
    }

    pub(crate) fn remove_dead(&mut self, id: DestinationId, number: u64) {
        self.batch.remove(&self.outbox.dead, keys::dead(id, number));
    }

    pub(crate) fn set_cursor(&mut self, offset: u64) {
        self.batch
            .insert(&self.outbox.meta, CURSOR, offset.to_be_bytes());
    }

    pub(crate) fn set_disabled(&mut self, id: DestinationId, fingerprint: Option<u64>) {
        let key = keys::disabled(id);
        match fingerprint {
            Some(value) => self
                .batch
                .insert(&self.outbox.meta, key, value.to_be_bytes()),
            None => self.batch.remove(&self.outbox.meta, key),
        }
    }

    /// Survives a kill of the process, not a loss of power.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        Ok(self.batch.commit()?)
    }

    /// Survives a loss of power too: one fdatasync.
    pub(crate) fn commit_synced(self) -> Result<(), StoreError> {
        Ok(self
            .batch
            .durability(Some(PersistMode::SyncData))
            .commit()?)
    }
}

/// Checks that this build reads the outbox in `database`; writes nothing.
///
/// # Errors
/// [`StoreError::Format`], [`StoreError::Engine`]
pub fn check_format(database: &Database) -> Result<(), StoreError> {
    if !database.keyspace_exists(META) {
        return Ok(());
    }
    let meta = database.keyspace(META, KeyspaceCreateOptions::default)?;
    match format_of(&meta)? {
        Some(format) if (1..=u32::from(FORMAT)).contains(&format) => Ok(()),
        None if meta.is_empty()? => Ok(()),
        found => Err(StoreError::Format { found }),
    }
}

fn format_of(meta: &Keyspace) -> Result<Option<u32>, StoreError> {
    let number = meta.get("format")?;
    let number = number.map(|number| {
        number
            .as_ref()
            .try_into()
            .map_err(|_| StoreError::Malformed)
    });
    Ok(number.transpose()?.map(u32::from_be_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_format_is_refused_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::builder(directory.path()).open().unwrap();
        let outbox = Outbox::open(database.clone()).unwrap();
        let mut write = outbox.write();
        write.set_cursor(7);
        write.commit().unwrap();
        assert_eq!(Outbox::open(database.clone()).unwrap().cursor().unwrap(), 7);
        let next = u32::from(FORMAT) + 1;
        outbox.meta.insert("format", next.to_be_bytes()).unwrap();
        let newer = Outbox::open(database.clone()).unwrap_err().to_string();
        assert!(newer.contains(&format!("have format {next}")), "{newer}");
        assert!(newer.contains("restore a backup"), "{newer}");
        assert_eq!(format_of(&outbox.meta).unwrap(), Some(next));
        // As written before there was a number.
        outbox.meta.remove("format").unwrap();
        let older = Outbox::open(database).unwrap_err();
        assert!(matches!(older, StoreError::Format { found: None }));
    }

    #[test]
    fn an_earlier_format_is_raised_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::builder(directory.path()).open().unwrap();
        let outbox = Outbox::open(database.clone()).unwrap();
        outbox.meta.insert("format", 1u32.to_be_bytes()).unwrap();
        let raised = Outbox::open(database).unwrap();
        assert_eq!(format_of(&raised.meta).unwrap(), Some(u32::from(FORMAT)));
    }
}
