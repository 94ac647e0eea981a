//! Writes how the delivery of a row ended, and counts it once it is written.

use super::Write;
use super::keeper::{Ending, Settlement};
use crate::shared::Shared;

/// Returns the number of the dead letter that it became, if it did.
pub(super) fn settle(shared: &Shared, write: &mut Write<'_>, done: &Settlement) -> Option<u64> {
    let id = done.destination.id;
    write.change_due(id, &done.key, done.due);
    if let Some(attempted) = &done.attempted {
        write.put_attempted(id, &done.key, attempted);
    }
    match &done.ending {
        Ending::Delivered => write.remove_row(id, &done.key, done.offset),
        Ending::Parked(row) => write.put_row(id, row),
        Ending::Dead(row) => {
            write.remove_row(id, &done.key, done.offset);
            let number = shared.dead_number();
            write.put_dead(id, number, row);
            return Some(number);
        }
    }
    None
}

pub(super) fn after(shared: &Shared, done: &Settlement) {
    let destination = &done.destination;
    destination.queue.lock().settled(&done.key);
    match done.ending {
        Ending::Parked(_) => {}
        Ending::Delivered | Ending::Dead(_) => shared.rows_removed(destination, 1),
    }
}
