//! The outbox's own thread: writes results of deliveries in groups, and loads due rows back into
//! memory. Storage may block for milliseconds, which the async workers must not.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_event::Timestamp;
use tokio::sync::mpsc::Receiver;

use super::Write;
use crate::dead_letter::DeadRow;
use crate::destination::Destination;
use crate::error::StoreError;
use crate::intent::{Attempted, Key, Row};
use crate::queue::DueChange;
use crate::shared::Shared;

/// Commands written in one batch at most.
const GROUP_MAX: usize = 256;
/// Attempts looked at in one round of pruning.
const PRUNE_MAX: usize = 1_000;
/// Groups between two rounds of pruning.
const PRUNE_EVERY: u32 = 64;

/// Work for the thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Write what became of a row.
    Settle(Box<Settlement>),
    /// Load due rows into memory.
    Refill(Arc<Destination>),
    /// Remember that the destination answered 410.
    Disable(Arc<Destination>),
}

/// What became of a row that was in flight.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) destination: Arc<Destination>,
    pub(crate) key: Key,
    pub(crate) offset: u64,
    pub(crate) due: DueChange,
    /// None where nothing was sent.
    pub(crate) attempted: Option<Attempted>,
    pub(crate) ending: Ending,
}

/// Where the row went.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Delivered.
    Delivered,
    /// It waits for another attempt.
    Parked(Row),
    /// A dead letter.
    Dead(DeadRow),
}

/// Runs until every sender is gone.
pub(crate) fn run(shared: &Shared, mut commands: Receiver<Command>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    let mut pruning = Pruning::default();
    while let Some(first) = commands.blocking_recv() {
        group.push(first);
        while group.len() < GROUP_MAX {
            let Ok(next) = commands.try_recv() else { break };
            group.push(next);
        }
        let done = apply(shared, &mut group).and_then(|()| pruning.step(shared));
        if let Err(error) = done {
            shared.fail(&error);
        }
        group.clear();
    }
}

fn apply(shared: &Shared, group: &mut Vec<Command>) -> Result<(), StoreError> {
    if shared.has_failed() {
        return Ok(());
    }
    let outbox = shared.outbox()?;
    let mut write = outbox.write();
    for command in group.iter() {
        match command {
            Command::Settle(settlement) => settle(shared, &mut write, settlement)?,
            // Unless somebody enabled it in the meantime.
            Command::Disable(destination) if destination.is_switched_off() => {
                let fingerprint = destination.plan().fingerprint();
                write.set_disabled(destination.id, Some(fingerprint));
            }
            Command::Disable(_) | Command::Refill(_) => {}
        }
    }
    write.commit()?;
    for command in group.drain(..) {
        match command {
            Command::Settle(settlement) => after(shared, &settlement)?,
            Command::Refill(destination) => refill(shared, &destination)?,
            Command::Disable(_) => {}
        }
    }
    Ok(())
}

fn settle(shared: &Shared, write: &mut Write<'_>, done: &Settlement) -> Result<(), StoreError> {
    let id = done.destination.id;
    write.change_due(id, &done.key, done.due);
    if let Some(attempted) = &done.attempted {
        write.put_attempted(id, &done.key, attempted)?;
    }
    match &done.ending {
        Ending::Delivered => write.remove_row(id, &done.key, done.offset),
        Ending::Parked(row) => write.put_row(id, row)?,
        Ending::Dead(row) => {
            write.remove_row(id, &done.key, done.offset);
            write.put_dead(id, shared.dead_number(), row)?;
        }
    }
    Ok(())
}

fn after(shared: &Shared, done: &Settlement) -> Result<(), StoreError> {
    let destination = &done.destination;
    destination.queue.lock().settled(&done.key);
    match done.ending {
        Ending::Parked(_) => return Ok(()),
        Ending::Delivered => {}
        Ending::Dead(_) => {
            destination.dead.fetch_add(1, Ordering::Relaxed);
            trim_dead(shared, destination)?;
        }
    }
    shared.rows_removed(destination, 1);
    Ok(())
}

/// Drops the oldest dead letters beyond the cap.
pub(crate) fn trim_dead(shared: &Shared, destination: &Destination) -> Result<(), StoreError> {
    let most = shared.settings.dead_letters_max;
    let kept = destination.dead.load(Ordering::Relaxed);
    let surplus = usize::try_from(kept.saturating_sub(most)).unwrap_or(usize::MAX);
    if surplus == 0 {
        return Ok(());
    }
    let outbox = shared.outbox()?;
    let mut write = outbox.write();
    let mut dropped = 0;
    for number in outbox.dead_numbers(destination.id).take(surplus) {
        write.remove_dead(destination.id, number?);
        dropped += 1;
    }
    write.commit()?;
    destination.dead.fetch_sub(dropped, Ordering::Relaxed);
    destination
        .stats
        .dead_dropped
        .fetch_add(dropped, Ordering::Relaxed);
    Ok(())
}

fn refill(shared: &Shared, destination: &Destination) -> Result<(), StoreError> {
    // No hand-in may slip a row of a key between reading that key and taking it into memory.
    let _writes = shared.writes.lock();
    destination.queue.lock().evict_waiting(shared.clock.now());
    let outbox = shared.outbox()?;
    let mut outside = None;
    for entry in outbox.due(destination.id, Timestamp(0)) {
        let (key, due) = entry?;
        if destination.queue.lock().knows(&key) {
            continue;
        }
        let rows = outbox.rows(destination.id, &key)?;
        if rows.is_empty() {
            let mut write = outbox.write();
            write.change_due(
                destination.id,
                &key,
                DueChange {
                    remove: Some(due),
                    put: None,
                },
            );
            write.commit()?;
        } else if !destination.queue.lock().load(key, due, rows) {
            outside = Some(due.0);
            break;
        }
    }
    destination.queue.lock().refilled(outside);
    destination.wake.notify_one();
    Ok(())
}

/// Forgets old attempts a few at a time.
#[derive(Debug, Default)]
struct Pruning {
    groups: u32,
    from: Vec<u8>,
}

impl Pruning {
    fn step(&mut self, shared: &Shared) -> Result<(), StoreError> {
        self.groups += 1;
        if !self.groups.is_multiple_of(PRUNE_EVERY) || shared.has_failed() {
            return Ok(());
        }
        let keep = i64::try_from(shared.settings.attempted_keep_ms).unwrap_or(i64::MAX);
        let before = shared.clock.now().plus_ms(-keep);
        let outbox = shared.outbox()?;
        let stale = outbox.stale_attempts(before, &self.from, PRUNE_MAX)?;
        let mut write = outbox.write();
        for key in stale.keys {
            write.forget_attempted(key);
        }
        self.from = stale.next;
        write.commit()
    }
}
