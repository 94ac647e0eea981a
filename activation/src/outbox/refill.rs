//! Loads rows that wait in the store only back into memory, in order of their due times.

use tidegate_event::Timestamp;

use super::storage::Durability;
use super::{Outbox, Rows, Write};
use crate::destination::Destination;
use crate::intent::{Key, Row};
use crate::queue::{Due, DueChange, KEY_ROWS_MAX};
use crate::shared::Shared;
use crate::stats::count;

/// How long keys that could not be read are left alone, milliseconds.
const UNREADABLE_MS: i64 = 10_000;
/// Keys that could not be read before a refill gives up.
const UNREADABLE_MAX: usize = 16;
/// Keys of one refill. More are loaded by the next one.
const KEYS_MAX: usize = 4_096;
/// How long a refill that found memory full is not repeated, milliseconds.
const FULL_MS: i64 = 50;

/// One refill under way.
struct Refill<'a> {
    shared: &'a Shared,
    destination: &'a Destination,
    write: Write<'a>,
    /// Due time of the first key that stays outside memory.
    outside: Option<Timestamp>,
    loaded: usize,
    unreadable: usize,
    /// Rows set aside or replaced.
    removed: u64,
}

pub(super) fn refill(shared: &Shared, destination: &Destination) {
    // No hand-in may slip a row of a key between reading that key and taking it into memory.
    let _writes = shared.writes.lock();
    let Ok(outbox) = shared.outbox() else {
        return;
    };
    let now = shared.clock.now();
    let first = {
        let mut queue = destination.queue.lock();
        queue.evict_waiting(now);
        queue.outside_from()
    };
    let mut refill = Refill {
        shared,
        destination,
        write: outbox.write(),
        outside: None,
        loaded: 0,
        unreadable: 0,
        removed: 0,
    };
    refill.scan(&outbox, first);
    refill.finish(now);
}

impl Refill<'_> {
    fn scan(&mut self, outbox: &Outbox, first: Timestamp) {
        let mut last = first;
        for entry in outbox.due(self.destination.id, first) {
            match entry {
                Ok((key, due)) => {
                    last = due.0;
                    if !self.take(outbox, &key, due) {
                        return;
                    }
                }
                Err(error) => {
                    self.failed(&error, last);
                    return;
                }
            }
        }
    }

    /// False where no further key is looked at.
    fn take(&mut self, outbox: &Outbox, key: &Key, due: Due) -> bool {
        if self.destination.queue.lock().knows(key) {
            return true;
        }
        if self.loaded == KEYS_MAX {
            self.stays_outside(due.0);
            return false;
        }
        let Rows {
            mut readable,
            malformed,
        } = match outbox.rows(self.destination.id, key) {
            Ok(rows) => rows,
            Err(error) => {
                self.failed(&error, due.0);
                return self.unreadable < UNREADABLE_MAX;
            }
        };
        for (raw_key, value) in malformed {
            self.shared.unreadable(
                self.destination,
                "a callback does not parse and is set aside",
            );
            self.write.set_aside(raw_key, value);
            self.remove(key);
        }
        self.coalesce(key, &mut readable);
        if readable.is_empty() {
            let change = DueChange {
                remove: Some(due),
                put: None,
            };
            self.write.change_due(self.destination.id, key, change);
            return true;
        }
        let taken = self.destination.queue.lock().load(*key, due, readable);
        if taken {
            self.loaded += 1;
        } else {
            self.stays_outside(due.0);
        }
        taken
    }

    /// An earlier build kept every row of a key.
    fn coalesce(&mut self, key: &Key, rows: &mut Vec<Row>) {
        if rows.len() <= KEY_ROWS_MAX {
            return;
        }
        for row in rows.drain(KEY_ROWS_MAX - 1..rows.len() - 1) {
            let offset = row.intent.offset();
            self.write.remove_row(self.destination.id, key, offset);
            count(&self.destination.stats.coalesced);
            self.remove(key);
        }
    }

    /// A row leaves the outbox.
    fn remove(&mut self, key: &Key) {
        self.removed += 1;
        self.destination.queue.lock().removed(key, 1);
    }

    /// The key stays in the store and is read again later.
    fn failed(&mut self, error: &crate::error::StoreError, due: Timestamp) {
        self.shared.unreadable(
            self.destination,
            &format!("a callback cannot be read: {error}"),
        );
        self.unreadable += 1;
        self.stays_outside(due);
    }

    fn stays_outside(&mut self, due: Timestamp) {
        self.outside.get_or_insert(due);
    }

    fn finish(self, now: Timestamp) {
        if self
            .shared
            .commit(self.write, Durability::Buffered)
            .is_err()
        {
            return;
        }
        if self.removed > 0 {
            self.shared.rows_removed(self.destination, self.removed);
        }
        let again = if self.unreadable > 0 {
            now.plus_ms(UNREADABLE_MS)
        } else if self.loaded == 0 {
            now.plus_ms(FULL_MS)
        } else {
            now
        };
        self.destination.queue.lock().refilled(self.outside, again);
        self.destination.wake.ring();
    }
}
