//! The durable side: rows, their due index, the newest attempts, dead letters and the cursor, in
//! keyspaces of the database that the collector owns. One batch is one atomic write.

mod keys;
mod settle;

use std::collections::HashMap;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_event::Timestamp;

pub(crate) use keys::DestinationId;
pub(crate) use settle::{Command, Ending, Settlement, run, trim_dead};

use crate::dead_letter::DeadRow;
use crate::error::StoreError;
use crate::intent::{Attempted, Key, Row};
use crate::queue::{Due, DueChange};

/// Which form keys and rows have. Raised with every change of what they hold: postcard rows do not
/// say of what they are made.
pub(crate) const FORMAT: u32 = 1;

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
        let open = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        let outbox = Self {
            jobs: open("outbox_jobs")?,
            due: open("outbox_due")?,
            attempted: open("outbox_attempted")?,
            dead: open("outbox_dead")?,
            meta: open("outbox_meta")?,
            database,
        };
        outbox.check_format()?;
        Ok(outbox)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let found = self.meta.get("format")?;
        let found = found.map(|number| {
            number
                .as_ref()
                .try_into()
                .map_err(|_| StoreError::Malformed)
        });
        match found.transpose()?.map(u32::from_be_bytes) {
            Some(FORMAT) => Ok(()),
            // The first hand-in puts the cursor there.
            None if self.meta.is_empty()? => {
                self.meta.insert("format", FORMAT.to_be_bytes())?;
                self.persist()
            }
            found => Err(StoreError::Format { found }),
        }
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
        self.batch.insert(&self.outbox.jobs, key, bytes(row)?);
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
            bytes(attempted)?,
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
            .insert(&self.outbox.dead, keys::dead(id, number), bytes(row)?);
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

fn bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_allocvec(value).map_err(|_| StoreError::Malformed)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|_| StoreError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::{DeadReason, RenderedRequest};
    use crate::intent::tests::intent;

    #[test]
    fn rows_of_another_format_are_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::builder(directory.path()).open().unwrap();
        let outbox = Outbox::open(database.clone()).unwrap();
        let mut write = outbox.write();
        write.set_cursor(7);
        write.commit().unwrap();
        assert_eq!(Outbox::open(database.clone()).unwrap().cursor().unwrap(), 7);
        outbox
            .meta
            .insert("format", (FORMAT + 1).to_be_bytes())
            .unwrap();
        let newer = Outbox::open(database.clone()).unwrap_err().to_string();
        assert!(newer.contains("format 2, and this build reads"), "{newer}");
        assert!(newer.contains("empty data_dir"), "{newer}");
        // As written before there was a number.
        outbox.meta.remove("format").unwrap();
        let older = Outbox::open(database).unwrap_err();
        assert!(matches!(older, StoreError::Format { found: None }));
    }

    /// Where this fails on purpose, raise [`FORMAT`] and write the new bytes here.
    #[test]
    fn the_form_of_a_row_changes_only_with_the_format() {
        let at = Timestamp(1_800_000_000_000);
        let mut intent = intent(1, 2, 3);
        intent.user_id = Some("ada".to_owned());
        intent.reason = Some("merged".to_owned());
        intent.merged_into = Some(tidegate_event::ProfileId(4));
        let letter = DeadRow {
            row: Row {
                last_status: Some(400),
                ..Row::new(&intent, at)
            },
            reason: DeadReason::OutboxFull,
            at,
            request: RenderedRequest {
                method: "POST".to_owned(),
                url: "/".to_owned(),
                body: "{}".to_owned(),
            },
        };
        let attempted = Attempted {
            epoch: 2,
            offset: 3,
            at,
        };
        let rows = [bytes(&letter).unwrap(), bytes(&attempted).unwrap()].concat();
        let hex: String = rows.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (FORMAT, &*hex),
            (
                1,
                "03010104616e6f6e0103616461066275796572730102ccf7a1b8c06801066d6572676564010480c0e285e368000190030380c0e285e36804504f5354012f027b7d020380c0e285e368"
            )
        );
    }
}
