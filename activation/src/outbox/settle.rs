//! Writes how the delivery of a row ended, and counts it once it is written.

use parking_lot::MutexGuard;

use super::Write;
use super::keeper::{Ending, Settlement};
use super::prune::keep_dead;
use crate::shared::Shared;

/// The lock is [`Shared::dead_letters`], held until `write` is written.
pub(super) fn settle(
    shared: &Shared,
    letters: &MutexGuard<'_, ()>,
    write: &mut Write<'_>,
    done: &Settlement,
) {
    let id = done.destination.id;
    write.change_due(id, &done.key, done.due);
    if let Some(attempted) = &done.attempted {
        write.put_attempted(id, &done.key, attempted);
    }
    match &done.ending {
        Ending::Delivered => write.remove_row(id, &done.key, done.offset),
        Ending::Parked(row) => write.put_row(id, row),
        Ending::Dead(dead) => {
            write.remove_row(id, &done.key, done.offset);
            keep_dead(shared, letters, write, &done.destination, dead);
        }
    }
}

pub(super) fn after(shared: &Shared, done: &Settlement) {
    let destination = &done.destination;
    let gone = match done.ending {
        Ending::Parked(_) => false,
        Ending::Delivered | Ending::Dead(_) => true,
    };
    destination.queue.lock().settled(&done.key, gone);
    if gone {
        shared.rows_removed(destination, 1);
    }
}
