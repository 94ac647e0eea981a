//! Puts dead letters back into the outbox. One that something newer has overtaken is dropped as
//! superseded: sending it would undo the newer change.

use crate::capacity::{Capacity, Share};
use crate::dead_letter::DeadRow;
use crate::destination::Destination;
use crate::error::StoreError;
use crate::intent::Row;
use crate::mutant::Mutant;
use crate::outbox::storage::Durability;
use crate::outbox::{Outbox, Write};
use crate::queue::{DueChange, KEY_ROWS_MAX};
use crate::shared::Shared;
use crate::stats::count;

/// Dead letters in one write at most.
const CHUNK: usize = 256;

/// Which dead letters to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayWhich {
    /// All of the destination.
    All,
    /// These.
    Ids(Vec<u64>),
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Queued again.
    pub replayed: u64,
    /// Dropped, because something newer was attempted or waits.
    pub superseded: u64,
    /// No such dead letter, or one that cannot be read.
    pub missing: u64,
    /// Left where they are: the destination's part of the outbox is full, or another change of
    /// the same record and key waits.
    pub no_capacity: u64,
}

pub(crate) fn replay(
    shared: &Shared,
    capacity: &Capacity,
    destination: &Destination,
    which: ReplayWhich,
) -> Result<ReplayReport, StoreError> {
    let ids = match which {
        ReplayWhich::All => destination.dead_letters.lock().numbers().collect(),
        ReplayWhich::Ids(mut ids) => {
            // Oldest first, each once: a later one of a key must find the earlier one queued.
            ids.sort_unstable();
            ids.dedup();
            ids
        }
    };
    let mut report = ReplayReport::default();
    for chunk in ids.chunks(CHUNK) {
        replay_chunk(shared, capacity, destination, chunk, &mut report)?;
    }
    Ok(report)
}

fn replay_chunk(
    shared: &Shared,
    capacity: &Capacity,
    destination: &Destination,
    ids: &[u64],
    report: &mut ReplayReport,
) -> Result<(), StoreError> {
    let _writes = shared.writes.lock();
    let _letters = shared.dead_letters.lock();
    let outbox = shared.outbox()?;
    let now = shared.clock.now();
    let mut write = outbox.write();
    let mut staged = Vec::new();
    let (mut removed, mut added) = (Vec::new(), 0);
    for &id in ids {
        let dead = match readable(shared, destination, outbox.dead_one(destination.id, id)) {
            Ok(Some(dead)) => dead,
            Ok(None) | Err(Unreadable) => {
                report.missing += 1;
                continue;
            }
        };
        let against = against(&outbox, destination, &dead);
        let Ok(against) = readable(shared, destination, against) else {
            report.missing += 1;
            continue;
        };
        let is_free = against == Against::Nothing;
        if against == Against::Newer {
            report.superseded += 1;
            count(&destination.stats.superseded);
        } else if is_free && has_capacity(capacity, destination, &dead, added) {
            let row = Row::new(&dead.row.intent, now);
            added += u64::from(stage(shared, destination, &mut write, &row));
            staged.push((row.key(), row.intent.offset()));
            report.replayed += 1;
        } else {
            report.no_capacity += 1;
            continue;
        }
        write.remove_dead(destination.id, id);
        removed.push(id);
    }
    write.note_clock(now);
    shared.commit(write, Durability::Synced)?;
    let mut letters = destination.dead_letters.lock();
    for id in removed {
        letters.remove(id);
    }
    drop(letters);
    shared.rows_added(destination, added);
    let mut queue = destination.queue.lock();
    for (key, offset) in staged {
        queue.commit(&key, offset);
    }
    drop(queue);
    destination.wake.ring();
    Ok(())
}

/// It is counted and logged.
struct Unreadable;

/// A dead letter that cannot be read stays where it is; the others are replayed.
fn readable<T>(
    shared: &Shared,
    destination: &Destination,
    read: Result<T, StoreError>,
) -> Result<T, Unreadable> {
    read.map_err(|error| {
        let what = format!("a dead letter cannot be replayed: {error}");
        shared.unreadable(destination, &what);
        Unreadable
    })
}

/// What stands against a replay of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Against {
    Nothing,
    /// A change of the same record and key waits: both have one slot in the outbox.
    SameRecord,
    /// Something newer was attempted or waits.
    Newer,
}

fn against(
    outbox: &Outbox,
    destination: &Destination,
    dead: &DeadRow,
) -> Result<Against, StoreError> {
    let intent = &dead.row.intent;
    let key = dead.row.key();
    let attempted = outbox.attempted(destination.id, &key)?;
    if attempted.is_some_and(|attempted| attempted.supersedes(intent)) {
        return Ok(Against::Newer);
    }
    let newest = outbox.newest(destination.id, &key)?;
    Ok(match newest.map(|row| row.intent.offset()) {
        Some(offset) if offset > intent.offset() => Against::Newer,
        Some(offset) if offset == intent.offset() => Against::SameRecord,
        Some(_) | None => Against::Nothing,
    })
}

/// May a dead letter be queued, with `ahead` rows that are not counted yet?
fn has_capacity(
    capacity: &Capacity,
    destination: &Destination,
    dead: &DeadRow,
    ahead: u64,
) -> bool {
    let profile = dead.row.intent.head().profile;
    let share = if destination.queue.lock().has_profile(profile) {
        Share::ThreeQuarters
    } else {
        Share::Whole
    };
    capacity.has_capacity(destination, share, ahead)
}

/// False where the row takes the place of one that waits: a key keeps a few only.
fn stage(shared: &Shared, destination: &Destination, write: &mut Write<'_>, row: &Row) -> bool {
    let (id, key, offset) = (destination.id, row.key(), row.intent.offset());
    let mut queue = destination.queue.lock();
    let in_memory = !queue.takes_only_known() || queue.knows(&key);
    let replaced = queue.coalesce(row, KEY_ROWS_MAX);
    let put = match replaced {
        Some(_) => None,
        None if in_memory => queue.stage(row.clone(), row.queued_at),
        None => queue.stage_outside(key, (row.queued_at, offset)),
    };
    drop(queue);
    write.change_due(id, &key, DueChange { remove: None, put });
    if let Some(replaced) = replaced {
        if !shared.is_mutant(Mutant::ReplacedRowStays) {
            write.remove_row(id, &key, replaced);
        }
        count(&destination.stats.coalesced);
    }
    write.put_row(id, row);
    replaced.is_none()
}
