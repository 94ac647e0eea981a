//! Takes a batch of changes in: outbox rows and the cursor in one synced write, then the workers
//! are woken. Rows enter the queues before the write and become sendable after it. A change takes
//! the place of one that waits where its key has enough rows already; else [`crate::capacity`] decides
//! whether it may have a row. Only a failed write fails a hand-in: what cannot be read costs no more
//! than a chance to coalesce.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_event::Timestamp;

use crate::capacity::{Available, Capacity, Full, Share};
use crate::dead_letter::DeadReason;
use crate::destination::Destination;
use crate::error::StoreError;
use crate::intent::{AudienceChange, Intent, Key, Row};
use crate::mutant::Mutant;
use crate::outbox::storage::Durability;
use crate::outbox::{Outbox, Write, keep_dead};
use crate::queue::{Due, DueChange, KEY_ROWS_MAX, Queue};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::stats::count;

/// Which destinations want which segment, and what they may hold.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_segment: HashMap<String, Vec<Arc<Destination>>>,
    all: Vec<Arc<Destination>>,
    pub(crate) capacity: Capacity,
}

impl Routes {
    pub(crate) fn new(destinations: &[Arc<Destination>], settings: &Settings) -> Self {
        let enabled = |destination: &&Arc<Destination>| destination.plan().enabled;
        let enabled: Vec<_> = destinations.iter().filter(enabled).cloned().collect();
        let mut routes = Self::default();
        for destination in &enabled {
            let plan = destination.plan();
            if plan.segments.iter().any(|segment| segment == "*") {
                routes.all.push(Arc::clone(destination));
                continue;
            }
            for segment in &plan.segments {
                let of = routes.by_segment.entry(segment.clone()).or_default();
                if !of.iter().any(|other| Arc::ptr_eq(other, destination)) {
                    of.push(Arc::clone(destination));
                }
            }
        }
        routes.capacity = Capacity::new(enabled, settings);
        routes
    }

    /// True where no destination wants any segment.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_segment.is_empty() && self.all.is_empty()
    }

    /// The destinations that want an intent.
    fn of(&self, intent: &Intent) -> impl Iterator<Item = &Arc<Destination>> {
        let Intent::AudienceChange(AudienceChange { segment, .. }) = intent;
        self.by_segment
            .get(segment)
            .into_iter()
            .flatten()
            .chain(&self.all)
    }

    /// True where a record's changes should wait for a destination that soon has capacity.
    fn should_wait(&self, record: &[Intent], now: Timestamp) -> bool {
        let is_soon = |intent: &Intent, destination: &Destination| {
            let share = share(&destination.queue.lock(), intent);
            self.capacity.available(destination, share, now) == Available::Soon
        };
        record.iter().any(|intent| {
            let mut wanted = self.of(intent);
            wanted.any(|destination| is_soon(intent, destination))
        })
    }
}

/// What a change may take of its destination's part.
fn share(queue: &Queue, intent: &Intent) -> Share {
    if queue.has_profile(intent.head().profile) {
        Share::ThreeQuarters
    } else {
        Share::Whole
    }
}

/// A row in line: its destination, key and offset.
type Queued<'a> = (&'a Arc<Destination>, Key, u64);

/// A key of a destination.
type Of = (*const Destination, Key);

/// The newest row of a key in this batch, and where it stands.
#[derive(Clone, Copy, Debug)]
struct Latest {
    offset: u64,
    queued: usize,
    op: usize,
}

/// One batch under way.
struct HandIn<'a> {
    shared: &'a Shared,
    capacity: &'a Capacity,
    outbox: &'a Outbox,
    write: Write<'a>,
    now: Timestamp,
    queued: Vec<Queued<'a>>,
    latest: HashMap<Of, Latest>,
    /// Of each row that takes capacity.
    added: Vec<&'a Arc<Destination>>,
    /// The newest dead letter of each key.
    dead: Vec<(&'a Arc<Destination>, Row)>,
    dead_at: HashMap<Of, usize>,
}

/// How a row enters the queue.
enum Entered {
    /// As a further one. The first of its key has a due entry.
    Added(Option<Due>),
    /// In the place of the one with this offset: its own, where two changes of one record meet.
    Instead(u64),
    /// It finds no capacity.
    Full,
}

/// Everything below the returned offset is taken: `next_offset`, or less where a destination is
/// full that delivers.
pub(crate) fn hand_in(
    shared: &Shared,
    routes: &Routes,
    batch: &[Intent],
    next_offset: u64,
) -> Result<u64, StoreError> {
    let _writes = shared.writes.lock();
    let cursor = shared.cursor.load(Ordering::Acquire);
    if next_offset <= cursor {
        return Ok(next_offset);
    }
    if shared.has_failed() {
        return Err(StoreError::Closed);
    }
    let outbox = shared.outbox()?;
    let mut hand_in = HandIn {
        shared,
        capacity: &routes.capacity,
        outbox: &outbox,
        write: outbox.write(),
        now: shared.clock.now(),
        queued: Vec::with_capacity(batch.len()),
        latest: HashMap::new(),
        added: Vec::new(),
        dead: Vec::new(),
        dead_at: HashMap::new(),
    };
    let done = batch.partition_point(|intent| intent.offset() < cursor);
    let taken = hand_in.take_all(routes, &batch[done..], next_offset);
    hand_in.finish(taken)
}

/// Stores the cursor alone, over records that no destination wants anything of.
pub(crate) fn follow(shared: &Shared, next_offset: u64) -> Result<(), StoreError> {
    let _writes = shared.writes.lock();
    if next_offset <= shared.cursor.load(Ordering::Acquire) {
        return Ok(());
    }
    if shared.has_failed() {
        return Err(StoreError::Closed);
    }
    let outbox = shared.outbox()?;
    commit(shared, outbox.write(), shared.clock.now(), next_offset)?;
    shared.cursor.store(next_offset, Ordering::Release);
    Ok(())
}

impl<'a> HandIn<'a> {
    fn take_all(&mut self, routes: &'a Routes, batch: &[Intent], next_offset: u64) -> u64 {
        for record in batch.chunk_by(|one, other| one.offset() == other.offset()) {
            if routes.should_wait(record, self.now) {
                return record.first().map_or(next_offset, |intent| intent.offset());
            }
            for intent in record {
                for destination in routes.of(intent) {
                    self.take(destination, intent);
                }
            }
        }
        next_offset
    }

    fn take(&mut self, destination: &'a Arc<Destination>, intent: &Intent) {
        let row = Row::new(intent, self.now);
        let key = row.key();
        let of = (Arc::as_ptr(destination), key);
        let latest = self.latest.get(&of).copied();
        match self.stage(destination, &row, latest) {
            Entered::Full => self.take_dead(destination, row),
            Entered::Added(put) => {
                let due = DueChange { remove: None, put };
                self.write.change_due(destination.id, &key, due);
                // Counted at once, so that the bounds hold within a batch too.
                self.shared.rows_added(destination, 1);
                self.added.push(destination);
                self.put(destination, &row);
            }
            Entered::Instead(offset) => {
                let latest = latest.filter(|latest| latest.offset == offset);
                if let Some(latest) = latest {
                    self.put_instead(of, latest, destination, &row);
                } else if offset == intent.offset() {
                    // Stored already.
                    return;
                } else {
                    if !self.shared.is_mutant(Mutant::ReplacedRowStays) {
                        self.write.remove_row(destination.id, &key, offset);
                    }
                    self.put(destination, &row);
                }
                count(&destination.stats.coalesced);
            }
        }
    }

    fn put(&mut self, destination: &'a Arc<Destination>, row: &Row) {
        let (key, offset) = (row.key(), row.intent.offset());
        let latest = Latest {
            offset,
            queued: self.queued.len(),
            op: self.write.put_row_at(destination.id, row),
        };
        self.latest.insert((Arc::as_ptr(destination), key), latest);
        self.queued.push((destination, key, offset));
    }

    /// In the place of a row of this batch, which is never written.
    fn put_instead(
        &mut self,
        of: Of,
        earlier: Latest,
        destination: &'a Arc<Destination>,
        row: &Row,
    ) {
        let offset = row.intent.offset();
        self.write.put_row_instead(earlier.op, destination.id, row);
        if let Some(queued) = self.queued.get_mut(earlier.queued) {
            queued.2 = offset;
        }
        self.latest.insert(of, Latest { offset, ..earlier });
    }

    /// Of a key the batch keeps its newest one.
    fn take_dead(&mut self, destination: &'a Arc<Destination>, row: Row) {
        if destination.full.lock().as_mut().is_some_and(Full::report) {
            tracing::warn!(
                destination = destination.plan().name,
                "its part of the outbox is full: further changes become its dead letters until \
                 half is delivered"
            );
        }
        let of = (Arc::as_ptr(destination), row.key());
        let next = self.dead.len();
        let at = *self.dead_at.entry(of).or_insert(next);
        match self.dead.get_mut(at) {
            Some((_, earlier)) => {
                *earlier = row;
                count(&destination.stats.coalesced);
            }
            None => self.dead.push((destination, row)),
        }
    }

    fn stage(
        &mut self,
        destination: &'a Arc<Destination>,
        row: &Row,
        latest: Option<Latest>,
    ) -> Entered {
        let key = row.key();
        let rows_max = self.key_rows_max(destination);
        let (in_memory, share) = {
            let mut queue = destination.queue.lock();
            if let Some(replaced) = queue.coalesce(row, rows_max) {
                return Entered::Instead(replaced);
            }
            let in_memory = !queue.takes_only_known() || queue.knows(&key);
            (in_memory, share(&queue, &row.intent))
        };
        let outside = !in_memory;
        if outside && let Some(replaced) = self.replaced_outside(destination, row, latest, rows_max)
        {
            return Entered::Instead(replaced);
        }
        // Where there is capacity soon it is a record of several changes: it is taken whole.
        if self.capacity.available(destination, share, self.now) == Available::None {
            return Entered::Full;
        }
        let due = self.now.plus_ms(destination.plan().linger_ms);
        let mut queue = destination.queue.lock();
        Entered::Added(if in_memory {
            queue.stage(row.clone(), due)
        } else {
            queue.stage_outside(key, (due, row.intent.offset()))
        })
    }

    /// Rows that a key has before a further change takes the place of the newest.
    fn key_rows_max(&self, destination: &Destination) -> usize {
        if self.shared.is_mutant(Mutant::KeyUnbounded) {
            return usize::MAX;
        }
        let waits = destination.plan().linger_ms > 0 || destination.is_held_back();
        if waits || !self.capacity.has_capacity(destination, Share::Half, 0) {
            1
        } else {
            KEY_ROWS_MAX
        }
    }

    /// The offset of the row that a key outside memory gives up for `row`. The store is read only
    /// where the key has so many rows.
    fn replaced_outside(
        &self,
        destination: &Destination,
        row: &Row,
        latest: Option<Latest>,
        rows_max: usize,
    ) -> Option<u64> {
        let (key, offset) = (row.key(), row.intent.offset());
        let latest = latest.map(|latest| latest.offset);
        if latest == Some(offset) {
            return latest;
        }
        let rows = destination.queue.lock().rows_of(&key);
        if rows < rows_max as u64 {
            return None;
        }
        // A change of this batch that found no capacity has looked before.
        let looked = self
            .dead_at
            .contains_key(&(std::ptr::from_ref(destination), key));
        if latest.is_some() || looked {
            return latest;
        }
        match self.outbox.newest(destination.id, &key) {
            Ok(newest) => {
                let newest = newest.filter(|old| old.attempts == 0);
                newest.map(|old| old.intent.offset())
            }
            Err(error) => {
                let what = format!("an earlier change cannot be read: {error}");
                self.shared.unreadable(destination, &what);
                None
            }
        }
    }

    fn finish(mut self, next_offset: u64) -> Result<u64, StoreError> {
        if self.write.is_empty() && self.dead.is_empty() {
            // No destination wanted any of it: [`follow`] stores how far this went, now and then.
            return Ok(next_offset);
        }
        let shared = self.shared;
        let letters = (!self.dead.is_empty()).then(|| shared.dead_letters.lock());
        if let Some(held) = &letters {
            for (destination, row) in std::mem::take(&mut self.dead) {
                let dead = destination.dead_letter(row, DeadReason::OutboxFull, self.now);
                keep_dead(shared, held, &mut self.write, destination, &dead);
            }
        }
        if let Err(error) = commit(shared, self.write, self.now, next_offset) {
            // Rows that were not written hold no capacity.
            for destination in self.added {
                shared.rows_removed(destination, 1);
            }
            return Err(error);
        }
        drop(letters);
        shared.cursor.store(next_offset, Ordering::Release);
        for (destination, key, offset) in self.queued {
            destination.queue.lock().commit(&key, offset);
            if !shared.is_mutant(Mutant::HandInUnheard) {
                destination.wake.ring();
            }
        }
        Ok(next_offset)
    }
}

/// Rows and cursor in one synced batch.
fn commit(
    shared: &Shared,
    mut write: Write<'_>,
    now: Timestamp,
    next_offset: u64,
) -> Result<(), StoreError> {
    #[cfg(any(test, feature = "simulation"))]
    if shared.is_mutant(Mutant::CursorFirst) {
        let done = write.commit_cursor_first(next_offset);
        return done.inspect_err(|error| shared.fail(error));
    }
    write.set_cursor(next_offset);
    write.note_clock(now);
    if shared.is_mutant(Mutant::HandInUnsynced) {
        return shared.commit(write, Durability::Buffered);
    }
    shared.commit(write, Durability::Synced)
}

#[cfg(test)]
mod tests;
