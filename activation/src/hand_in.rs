//! Takes a batch of changes in: outbox rows and the cursor in one synced write, then the workers
//! are told. Rows go into line before the write and become sendable after it.

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
use crate::shared::Shared;
use crate::stats::count;

/// Which destinations want which segment.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_segment: HashMap<String, Vec<Arc<Destination>>>,
    all: Vec<Arc<Destination>>,
}

impl Routes {
    pub(crate) fn new(destinations: &[Arc<Destination>]) -> Self {
        let mut routes = Self::default();
        for destination in destinations {
            let plan = destination.plan();
            if !plan.enabled {
                continue;
            }
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
}

/// One batch under way.
struct HandIn<'a> {
    shared: &'a Shared,
    write: Write<'a>,
    now: Timestamp,
    queued: Vec<(&'a Arc<Destination>, Key, u64)>,
    replaced: Vec<&'a Arc<Destination>>,
    buried: Vec<&'a Arc<Destination>>,
    /// Keys that went to the store only, in this very batch.
    outside: HashMap<(*const Destination, Key), ()>,
}

pub(crate) fn hand_in(
    shared: &Shared,
    routes: &Routes,
    batch: &[Intent],
    next_offset: u64,
) -> Result<(), StoreError> {
    let _writes = shared.writes.lock();
    let cursor = shared.cursor.load(Ordering::Acquire);
    if next_offset <= cursor {
        return Ok(());
    }
    let outbox = shared.outbox()?;
    let mut hand_in = HandIn {
        shared,
        write: outbox.write(),
        now: shared.clock.now(),
        queued: Vec::with_capacity(batch.len()),
        replaced: Vec::new(),
        buried: Vec::new(),
        outside: HashMap::new(),
    };
    for intent in batch.iter().filter(|intent| intent.offset >= cursor) {
        for destination in routes.of(&intent.segment) {
            hand_in.take(destination, intent)?;
        }
    }
    hand_in.finish(next_offset)
}

impl<'a> HandIn<'a> {
    fn take(
        &mut self,
        destination: &'a Arc<Destination>,
        intent: &Intent,
    ) -> Result<(), StoreError> {
        let row = Row::new(intent, self.now);
        if destination.rows.load(Ordering::Relaxed) >= self.shared.settings.destination_rows_max {
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

    fn finish(mut self, next_offset: u64) -> Result<(), StoreError> {
        if self.queued.is_empty() && self.buried.is_empty() {
            // Nobody wanted any of it: the journal's own cursor remembers how far this went.
            return Ok(());
        }
        self.write.set_cursor(next_offset);
        self.write
            .commit_synced()
            .inspect_err(|error| self.shared.fail(error))?;
        self.shared.cursor.store(next_offset, Ordering::Release);
        for destination in self.replaced {
            self.shared.rows_removed(destination, 1);
        }
        for destination in self.buried {
            destination.dead.fetch_add(1, Ordering::Relaxed);
            crate::outbox::trim_dead(self.shared, destination)?;
        }
        for (destination, key, offset) in self.queued {
            destination.queue.lock().commit(&key, offset);
            destination.wake.notify_one();
        }
        Ok(())
    }
}
