//! One atomic write under construction.

use tidegate_event::Timestamp;

use super::keys::{self, DestinationId};
use super::storage::{Durability, Op, Space, Storage};
use super::{CLOCK, CURSOR, row};
use crate::dead_letter::DeadRow;
use crate::error::StoreError;
use crate::intent::{Attempted, Key, Row};
use crate::queue::DueChange;

/// See the module.
pub(crate) struct Write<'a> {
    storage: &'a dyn Storage,
    ops: Vec<Op>,
}

impl<'a> Write<'a> {
    pub(super) const fn new(storage: &'a dyn Storage) -> Self {
        Self {
            storage,
            ops: Vec::new(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.ops.push(Op::Put(space, key, value));
    }

    pub(super) fn remove(&mut self, space: Space, key: Vec<u8>) {
        self.ops.push(Op::Remove(space, key));
    }

    pub(crate) fn put_row(&mut self, id: DestinationId, row: &Row) {
        self.ops.push(row_op(id, row));
    }

    /// As [`Write::put_row`]; returns where it stands in this write.
    pub(crate) fn put_row_at(&mut self, id: DestinationId, row: &Row) -> usize {
        self.put_row(id, row);
        self.ops.len() - 1
    }

    /// Puts a row in the place of one of this write.
    pub(crate) fn put_row_instead(&mut self, at: usize, id: DestinationId, row: &Row) {
        if let Some(op) = self.ops.get_mut(at) {
            *op = row_op(id, row);
        }
    }

    pub(crate) fn remove_row(&mut self, id: DestinationId, key: &Key, offset: u64) {
        self.remove(Space::Jobs, keys::job(id, key, offset));
    }

    pub(crate) fn change_due(&mut self, id: DestinationId, key: &Key, change: DueChange) {
        if let Some(due) = change.remove {
            self.remove(Space::Due, keys::due(id, key, due));
        }
        if let Some(due) = change.put {
            self.put(Space::Due, keys::due(id, key, due), Vec::new());
        }
    }

    pub(crate) fn put_attempted(&mut self, id: DestinationId, key: &Key, attempted: &Attempted) {
        self.put(Space::Attempted, keys::key(id, key), row::write(attempted));
    }

    pub(crate) fn forget_attempted(&mut self, raw_key: Vec<u8>) {
        self.remove(Space::Attempted, raw_key);
    }

    pub(crate) fn put_dead(&mut self, id: DestinationId, number: u64, row: &DeadRow) {
        self.put(Space::Dead, keys::dead(id, number), row::write(row));
    }

    pub(crate) fn remove_dead(&mut self, id: DestinationId, number: u64) {
        self.remove(Space::Dead, keys::dead(id, number));
    }

    /// Moves a row that does not parse out of the way; its bytes are kept.
    pub(crate) fn set_aside(&mut self, raw_key: Vec<u8>, value: Vec<u8>) {
        self.put(Space::Meta, keys::unreadable(&raw_key), value);
        self.remove(Space::Jobs, raw_key);
    }

    pub(crate) fn set_cursor(&mut self, offset: u64) {
        self.put(Space::Meta, CURSOR.to_vec(), offset.to_be_bytes().to_vec());
    }

    /// Due times that this write holds are of the clock at `now`.
    pub(crate) fn note_clock(&mut self, now: Timestamp) {
        let ms = u64::try_from(now.0).unwrap_or(0);
        self.put(Space::Meta, CLOCK.to_vec(), ms.to_be_bytes().to_vec());
    }

    pub(crate) fn set_disabled(&mut self, id: DestinationId, fingerprint: Option<u64>) {
        let key = keys::disabled(id);
        match fingerprint {
            Some(value) => self.put(Space::Meta, key, value.to_be_bytes().to_vec()),
            None => self.remove(Space::Meta, key),
        }
    }

    pub(crate) fn commit(self, durability: Durability) -> Result<(), StoreError> {
        if self.ops.is_empty() {
            return Ok(());
        }
        Ok(self.storage.commit(self.ops, durability)?)
    }

    /// As a build that writes the cursor ahead of the rows would: the simulation must find it.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn commit_cursor_first(self, next_offset: u64) -> Result<(), StoreError> {
        let cursor = Op::Put(
            Space::Meta,
            CURSOR.to_vec(),
            next_offset.to_be_bytes().to_vec(),
        );
        self.storage.commit(vec![cursor], Durability::Synced)?;
        Ok(self.storage.commit(self.ops, Durability::Synced)?)
    }
}

fn row_op(id: DestinationId, row: &Row) -> Op {
    let key = keys::job(id, &row.key(), row.intent.offset());
    Op::Put(Space::Jobs, key, row::write(row))
}
