//! Takes a batch of changes in: outbox rows and the cursor in one synced write, then the workers
//! are woken. Rows enter the queues before the write and become sendable after it. [`crate::room`]
//! decides which destination may have a row. Only a failed write fails a hand-in: what cannot be
//! read costs no more than a chance to coalesce.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_event::Timestamp;

use crate::dead_letter::DeadReason;
use crate::destination::Destination;
use crate::error::StoreError;
use crate::intent::{Intent, Key, Row};
use crate::mutant::Mutant;
use crate::outbox::storage::Durability;
use crate::outbox::{Outbox, Write};
use crate::queue::{DueChange, Staged};
use crate::room::{Place, Room, Wall};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::stats::count;

/// Which destinations want which segment, and what they may hold.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_segment: HashMap<String, Vec<Arc<Destination>>>,
    all: Vec<Arc<Destination>>,
    pub(crate) room: Room,
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
        routes.room = Room::new(enabled, settings);
        routes
    }

    /// True where no destination wants any segment.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_segment.is_empty() && self.all.is_empty()
    }

    fn of(&self, segment: &str) -> impl Iterator<Item = &Arc<Destination>> {
        self.by_segment
            .get(segment)
            .into_iter()
            .flatten()
            .chain(&self.all)
    }

    /// True where a record's changes should wait for a destination that soon has room.
    fn should_wait(&self, record: &[Intent], now: Timestamp) -> bool {
        let mut wanted = record.iter().flat_map(|intent| self.of(&intent.segment));
        wanted.any(|destination| self.room.place(destination, now) == Place::Soon)
    }
}

/// A row in line: its destination, key and offset.
type Queued<'a> = (&'a Arc<Destination>, Key, u64);

/// One batch under way.
struct HandIn<'a> {
    shared: &'a Shared,
    room: &'a Room,
    outbox: &'a Outbox,
    write: Write<'a>,
    now: Timestamp,
    queued: Vec<Queued<'a>>,
    replaced: Vec<&'a Arc<Destination>>,
    /// Dead letters and their numbers.
    dead: Vec<(&'a Arc<Destination>, u64)>,
    /// Keys that went to the store only, in this very batch, with their newest offset.
    outside: HashMap<(*const Destination, Key), u64>,
}

/// How a row enters the queue.
enum Entered {
    /// As a further one.
    New(Staged),
    /// Over another one of its offset, which it replaces.
    Same,
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
        room: &routes.room,
        outbox: &outbox,
        write: outbox.write(),
        now: shared.clock.now(),
        queued: Vec::with_capacity(batch.len()),
        replaced: Vec::new(),
        dead: Vec::new(),
        outside: HashMap::new(),
    };
    let done = batch.partition_point(|intent| intent.offset < cursor);
    let taken = hand_in.take_all(routes, &batch[done..], next_offset);
    hand_in.finish(taken)
}

impl<'a> HandIn<'a> {
    fn take_all(&mut self, routes: &'a Routes, batch: &[Intent], next_offset: u64) -> u64 {
        for record in batch.chunk_by(|one, other| one.offset == other.offset) {
            if routes.should_wait(record, self.now) {
                return record.first().map_or(next_offset, |intent| intent.offset);
            }
            for intent in record {
                for destination in routes.of(&intent.segment) {
                    self.take(destination, intent);
                }
            }
        }
        next_offset
    }

    fn take(&mut self, destination: &'a Arc<Destination>, intent: &Intent) {
        let row = Row::new(intent, self.now);
        // Where there is room soon it is a record of several changes: it is taken whole.
        if self.room.place(destination, self.now) == Place::None {
            self.take_dead(destination, row);
            return;
        }
        let key = row.key();
        let staged = match self.stage(destination, &row) {
            Entered::New(staged) => staged,
            Entered::Same => {
                self.write.put_row(destination.id, &row);
                count(&destination.stats.coalesced);
                return;
            }
        };
        let due = DueChange {
            remove: None,
            put: staged.due_put,
        };
        self.write.change_due(destination.id, &key, due);
        if let Some(offset) = staged.replaced {
            self.write.remove_row(destination.id, &key, offset);
            self.replaced.push(destination);
            count(&destination.stats.coalesced);
        }
        self.write.put_row(destination.id, &row);
        self.queued.push((destination, key, intent.offset));
        // Counted at once, so that the cap holds within a batch too.
        self.shared.rows_added(destination, 1);
    }

    fn take_dead(&mut self, destination: &'a Arc<Destination>, row: Row) {
        if destination.wall.lock().as_mut().is_some_and(Wall::tell) {
            tracing::warn!(
                destination = destination.plan().name,
                "its part of the outbox is full: further changes become its dead letters until \
                 half is delivered"
            );
        }
        let dead = destination.bury(row, DeadReason::OutboxFull, self.now);
        let number = self.shared.dead_number();
        self.dead.push((destination, number));
        self.write.put_dead(destination.id, number, &dead);
    }

    fn stage(&mut self, destination: &'a Arc<Destination>, row: &Row) -> Entered {
        let linger_ms = destination.plan().linger_ms;
        let coalesce = linger_ms > 0 || destination.is_held_back();
        let due = self.now.plus_ms(linger_ms);
        let key = row.key();
        let mut queue = destination.queue.lock();
        if !queue.takes_only_known() || queue.knows(&key) {
            let staged = queue.stage(row.clone(), due, coalesce);
            return staged.map_or(Entered::Same, Entered::New);
        }
        queue.note_outside(due);
        drop(queue);
        let offset = row.intent.offset;
        let earlier = self.outside.insert((Arc::as_ptr(destination), key), offset);
        if earlier == Some(offset) {
            return Entered::Same;
        }
        let own_due = Some((due, offset));
        let staged = match self.outbox.newest(destination.id, &key) {
            Ok(Some(old)) if coalesce && earlier.is_none() && old.attempts == 0 => Staged {
                due_put: None,
                replaced: Some(old.intent.offset),
            },
            Ok(Some(_)) => Staged::default(),
            Ok(None) => Staged {
                due_put: own_due.filter(|_| earlier.is_none()),
                replaced: None,
            },
            Err(error) => {
                let what = format!("an earlier change cannot be read: {error}");
                self.shared.unreadable(destination, &what);
                // Due by itself, in case the earlier one never is.
                Staged {
                    due_put: own_due,
                    replaced: None,
                }
            }
        };
        Entered::New(staged)
    }

    fn finish(self, next_offset: u64) -> Result<u64, StoreError> {
        if self.write.is_empty() {
            // No destination wanted any of it: the journal's own cursor holds how far this went.
            return Ok(next_offset);
        }
        let shared = self.shared;
        if let Err(error) = commit(shared, self.write, self.now, next_offset) {
            // Rows that were not written hold no capacity.
            for (destination, ..) in &self.queued {
                shared.rows_removed(destination, 1);
            }
            return Err(error);
        }
        shared.cursor.store(next_offset, Ordering::Release);
        for destination in self.replaced {
            shared.rows_removed(destination, 1);
        }
        for (destination, key, offset) in self.queued {
            destination.queue.lock().commit(&key, offset);
            if !shared.is_mutant(Mutant::HandInUnheard) {
                destination.wake.ring();
            }
        }
        let mut dead = self.dead;
        for (destination, number) in &dead {
            destination.dead.added(*number);
        }
        dead.sort_unstable_by_key(|(destination, _)| destination.id);
        dead.dedup_by_key(|(destination, _)| destination.id);
        for (destination, _) in dead {
            crate::outbox::trim_dead(shared, destination);
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
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::destinations::plans;
    use crate::intent::tests::intent;
    use crate::outbox::{DestinationId, Kept};
    use crate::settings::DestinationConfig;
    use crate::simulation::{MemoryStorage, ScriptedTransport};

    #[derive(Debug)]
    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(1_800_000_000_000)
        }
    }

    fn webhook() -> Arc<Destination> {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let config = DestinationConfig::webhook("ads", "https://h.example/", secret, &["buyers"]);
        let plan = plans(&[config], &[]).unwrap().remove(0);
        let id = DestinationId::of("ads");
        Arc::new(Destination::new(id, plan, 10, Kept::default()))
    }

    fn shared(storage: &MemoryStorage, settings: &Settings) -> Shared {
        let outbox = Outbox::open(Arc::new(storage.clone())).unwrap();
        let transport = Arc::new(ScriptedTransport::default());
        Shared::new(outbox, Arc::new(Fixed), settings.clone(), transport, 0).unwrap()
    }

    #[test]
    fn a_batch_that_was_not_written_holds_no_capacity() {
        let (storage, settings) = (MemoryStorage::default(), Settings::default());
        let shared = shared(&storage, &settings);
        let destination = webhook();
        let routes = Routes::new(&[Arc::clone(&destination)], &settings);
        assert_eq!(hand_in(&shared, &routes, &[intent(1, 1, 1)], 2).unwrap(), 2);
        storage.fail_writes(1);
        let batch = [intent(2, 1, 2), intent(1, 2, 3)];
        assert!(hand_in(&shared, &routes, &batch, 4).is_err());
        assert_eq!((shared.rows(), destination.rows()), (1, 1));
        assert_eq!(shared.cursor.load(Ordering::Acquire), 2);
        assert!(shared.has_failed());
    }

    #[test]
    fn a_failed_read_costs_no_hand_in() {
        let (storage, settings) = (MemoryStorage::default(), Settings::default());
        let shared = shared(&storage, &settings);
        let destination = webhook();
        let routes = Routes::new(&[Arc::clone(&destination)], &settings);
        // Nothing of the store is in memory yet, so each hand-in reads the key's newest row.
        assert_eq!(hand_in(&shared, &routes, &[intent(1, 1, 1)], 2).unwrap(), 2);
        storage.fail_reads(1);
        let batch = [intent(1, 2, 2), intent(2, 1, 3)];
        assert_eq!(hand_in(&shared, &routes, &batch, 4).unwrap(), 4);
        assert!(!shared.has_failed());
        assert_eq!((shared.rows(), destination.rows()), (3, 3));
        let unreadable = &destination.stats.unreadable;
        assert_eq!(unreadable.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn two_changes_of_one_record_and_key_are_one_row() {
        let (storage, settings) = (MemoryStorage::default(), Settings::default());
        let shared = shared(&storage, &settings);
        let destination = webhook();
        let routes = Routes::new(&[Arc::clone(&destination)], &settings);
        let batch = [intent(1, 1, 1), intent(1, 2, 1)];
        assert_eq!(hand_in(&shared, &routes, &batch, 2).unwrap(), 2);
        assert_eq!((shared.rows(), destination.rows()), (1, 1));
        let key = Key::of(&batch[0]);
        let rows = shared.outbox().unwrap().rows(destination.id, &key).unwrap();
        assert_eq!(rows.readable.len(), 1);
        assert_eq!(rows.readable[0].intent.epoch, 2, "the newer one");
    }
}
