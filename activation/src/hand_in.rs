//! Takes a batch of changes in: outbox rows and the cursor in one synced write, then the workers
//! are told. Rows go into line before the write and become sendable after it. Who may have a row
//! is [`crate::room`]'s to say.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_event::Timestamp;

use crate::dead_letter::DeadReason;
use crate::destination::Destination;
use crate::error::StoreError;
use crate::intent::{Intent, Key, Row};
use crate::outbox::Write;
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

    /// True where nobody wants any segment.
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
    write: Write<'a>,
    now: Timestamp,
    queued: Vec<Queued<'a>>,
    replaced: Vec<&'a Arc<Destination>>,
    buried: Vec<&'a Arc<Destination>>,
    /// Keys that went to the store only, in this very batch.
    outside: HashMap<(*const Destination, Key), ()>,
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
    let outbox = shared.outbox()?;
    let mut hand_in = HandIn {
        shared,
        room: &routes.room,
        write: outbox.write(),
        now: shared.clock.now(),
        queued: Vec::with_capacity(batch.len()),
        replaced: Vec::new(),
        buried: Vec::new(),
        outside: HashMap::new(),
    };
    let done = batch.partition_point(|intent| intent.offset < cursor);
    match hand_in.take_all(routes, &batch[done..], next_offset) {
        Ok(taken) => hand_in.finish(taken),
        Err(error) => {
            uncount(shared, &hand_in.queued);
            Err(error)
        }
    }
}

/// Rows that a failed write did not put there hold nobody's place.
fn uncount(shared: &Shared, queued: &[Queued<'_>]) {
    for (destination, ..) in queued {
        shared.rows_removed(destination, 1);
    }
}

impl<'a> HandIn<'a> {
    fn take_all(
        &mut self,
        routes: &'a Routes,
        batch: &[Intent],
        next_offset: u64,
    ) -> Result<u64, StoreError> {
        for record in batch.chunk_by(|one, other| one.offset == other.offset) {
            if routes.should_wait(record, self.now) {
                return Ok(record.first().map_or(next_offset, |intent| intent.offset));
            }
            for intent in record {
                for destination in routes.of(&intent.segment) {
                    self.take(destination, intent)?;
                }
            }
        }
        Ok(next_offset)
    }

    fn take(
        &mut self,
        destination: &'a Arc<Destination>,
        intent: &Intent,
    ) -> Result<(), StoreError> {
        let row = Row::new(intent, self.now);
        // Where there is room soon it is a record of several changes: it is taken whole.
        if self.room.place(destination, self.now) == Place::None {
            if destination.wall.lock().as_mut().is_some_and(Wall::tell) {
                tracing::warn!(
                    destination = destination.plan().name,
                    "its part of the outbox is full: further changes become its dead letters until \
                     half is delivered"
                );
            }
            let dead = destination.bury(row, DeadReason::OutboxFull, self.now);
            self.buried.push(destination);
            return self
                .write
                .put_dead(destination.id, self.shared.dead_number(), &dead);
        }
        let key = row.key();
        let staged = self.stage(destination, &row)?;
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
        self.write.put_row(destination.id, &row)?;
        self.queued.push((destination, key, intent.offset));
        // Counted at once, so that the cap holds within a batch too.
        self.shared.rows_added(destination, 1);
        Ok(())
    }

    fn stage(
        &mut self,
        destination: &'a Arc<Destination>,
        row: &Row,
    ) -> Result<Staged, StoreError> {
        let linger_ms = destination.plan().linger_ms;
        let coalesce = linger_ms > 0 || destination.is_held_back();
        let due = self.now.plus_ms(linger_ms);
        let key = row.key();
        let mut queue = destination.queue.lock();
        if !queue.takes_only_known() || queue.knows(&key) {
            return Ok(queue.stage(row.clone(), due, coalesce).unwrap_or_default());
        }
        queue.note_outside(due);
        drop(queue);
        let newest = self.shared.outbox()?.newest(destination.id, &key)?;
        let fresh = self
            .outside
            .insert((Arc::as_ptr(destination), key), ())
            .is_none();
        Ok(match newest {
            Some(old) if coalesce && fresh && old.attempts == 0 => Staged {
                due_put: None,
                replaced: Some(old.intent.offset),
            },
            Some(_) => Staged::default(),
            None => Staged {
                due_put: fresh.then_some((due, row.intent.offset)),
                replaced: None,
            },
        })
    }

    fn finish(mut self, next_offset: u64) -> Result<u64, StoreError> {
        if self.queued.is_empty() && self.buried.is_empty() {
            // Nobody wanted any of it: the journal's own cursor remembers how far this went.
            return Ok(next_offset);
        }
        self.write.set_cursor(next_offset);
        if let Err(error) = self.write.commit_synced() {
            uncount(self.shared, &self.queued);
            self.shared.fail(&error);
            return Err(error);
        }
        self.shared.cursor.store(next_offset, Ordering::Release);
        for destination in self.replaced {
            self.shared.rows_removed(destination, 1);
        }
        for (destination, key, offset) in self.queued {
            destination.queue.lock().commit(&key, offset);
            destination.wake.notify_one();
        }
        for destination in &self.buried {
            destination.dead.fetch_add(1, Ordering::Relaxed);
        }
        self.buried
            .sort_unstable_by_key(|destination| destination.id);
        self.buried.dedup_by_key(|destination| destination.id);
        for destination in self.buried {
            crate::outbox::trim_dead(self.shared, destination)?;
        }
        Ok(next_offset)
    }
}

#[cfg(test)]
mod tests {
    use fjall::Database;

    use super::*;
    use crate::clock::Clock;
    use crate::destinations::plans;
    use crate::intent::tests::intent;
    use crate::outbox::{DestinationId, Outbox};
    use crate::settings::DestinationConfig;
    use crate::transport::Transport;

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
        Arc::new(Destination::new(DestinationId::of("ads"), plan, 10))
    }

    #[test]
    fn a_batch_that_could_not_be_written_holds_no_place() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::builder(directory.path()).open().unwrap();
        let settings = Settings::default();
        let transport = Transport::new(&settings).unwrap();
        let outbox = Outbox::open(database.clone()).unwrap();
        let shared = Shared::new(outbox, Arc::new(Fixed), settings.clone(), transport, 0).unwrap();
        let destination = webhook();
        let routes = Routes::new(&[Arc::clone(&destination)], &settings);
        assert_eq!(hand_in(&shared, &routes, &[intent(1, 1, 1)], 2).unwrap(), 2);
        // Profile 1 has a row already; now it does not read.
        let jobs = database.keyspace("outbox_jobs", Default::default).unwrap();
        let key = jobs.iter().next().unwrap().key().unwrap();
        jobs.insert(key, [0xff]).unwrap();
        let batch = [intent(2, 1, 2), intent(1, 2, 3)];
        assert!(hand_in(&shared, &routes, &batch, 4).is_err());
        assert_eq!((shared.rows(), destination.rows()), (1, 1));
        assert_eq!(shared.cursor.load(Ordering::Acquire), 2);
    }
}
