//! Keeps what is not delivered any more within its bounds: dead letters by key, number and age,
//! attempts by age.

use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::dead_index::DeadEntry;
use super::storage::Durability;
use super::{Outbox, Write};
use crate::dead_letter::DeadRow;
use crate::destination::Destination;
use crate::error::StoreError;
use crate::mutant::Mutant;
use crate::shared::Shared;
use crate::stats::count;

/// Attempts looked at in one round of pruning.
const ATTEMPTS_MAX: usize = 1_000;
/// Groups between two rounds of pruning.
const EVERY: u32 = 64;
/// Dead letters removed in one batch at most.
const DEAD_MAX: usize = 4_096;

/// Stores a dead letter. A key keeps its newest one. Beyond the cap the profile that has the most
/// loses its oldest. The lock is [`Shared::dead_letters`], held until `write` is written.
pub(crate) fn keep_dead(
    shared: &Shared,
    _held: &MutexGuard<'_, ()>,
    write: &mut Write<'_>,
    destination: &Destination,
    dead: &DeadRow,
) {
    let (id, letter) = (destination.id, DeadEntry::of(dead));
    let by_age = shared.is_mutant(Mutant::OldestLetterOut);
    let mut letters = destination.dead_letters.lock();
    let earlier = if by_age {
        Vec::new()
    } else {
        letters.of_key(&letter.key)
    };
    if earlier.iter().any(|(_, offset)| *offset > letter.offset) {
        count(&destination.stats.coalesced);
        return;
    }
    let number = shared.dead_number();
    write.put_dead(id, number, dead);
    letters.add(number, Some(letter));
    for (number, _) in earlier {
        letters.remove(number);
        write.remove_dead(id, number);
        count(&destination.stats.coalesced);
    }
    for _ in 0..DEAD_MAX {
        if letters.count() <= shared.settings.dead_letters_max {
            return;
        }
        let oldest = letters.numbers().next();
        let surplus = if by_age { oldest } else { letters.surplus() };
        let Some(number) = surplus else { return };
        letters.remove(number);
        write.remove_dead(id, number);
        count(&destination.stats.dead_dropped);
    }
}

/// Drops dead letters beyond the age limit. One that does not parse has no age and stays.
pub(super) fn drop_aged(shared: &Shared, destination: &Destination) {
    let Ok(outbox) = shared.outbox() else {
        return;
    };
    let _held = shared.dead_letters.lock();
    let aged = match aged(shared, &outbox, destination) {
        Ok(aged) => aged,
        Err(error) => {
            let what = format!("dead letters cannot be read: {error}");
            shared.unreadable(destination, &what);
            return;
        }
    };
    let mut write = outbox.write();
    for number in &aged {
        write.remove_dead(destination.id, *number);
    }
    if shared.commit(write, Durability::Buffered).is_err() {
        return;
    }
    let mut letters = destination.dead_letters.lock();
    let dropped = aged.iter().filter(|number| letters.remove(**number));
    let counter = &destination.stats.dead_aged;
    counter.fetch_add(dropped.count() as u64, Ordering::Relaxed);
}

/// Numbers of dead letters beyond the age limit: later ones are younger.
fn aged(
    shared: &Shared,
    outbox: &Outbox,
    destination: &Destination,
) -> Result<Vec<u64>, StoreError> {
    let most = i64::try_from(shared.settings.dead_letters_max_age_ms).unwrap_or(i64::MAX);
    let before = shared.clock.now().plus_ms(most.saturating_neg());
    let oldest: Vec<_> = {
        let letters = destination.dead_letters.lock();
        letters.numbers().take(DEAD_MAX).collect()
    };
    let mut aged = Vec::new();
    for number in oldest {
        match outbox.dead_one(destination.id, number) {
            Ok(Some(dead)) if dead.at < before => aged.push(number),
            Ok(Some(_)) => break,
            Ok(None) | Err(StoreError::Malformed | StoreError::NewerRow { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(aged)
}

/// Forgets old attempts a few at a time.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    groups: u32,
    next: Vec<u8>,
}

impl Pruning {
    pub(super) fn step(&mut self, shared: &Shared) {
        self.groups = self.groups.wrapping_add(1);
        if !self.groups.is_multiple_of(EVERY) {
            return;
        }
        let Ok(outbox) = shared.outbox() else {
            return;
        };
        let keep = i64::try_from(shared.settings.attempted_keep_ms).unwrap_or(i64::MAX);
        let before = shared.clock.now().plus_ms(keep.saturating_neg());
        let stale = match outbox.stale_attempts(before, &self.next, ATTEMPTS_MAX) {
            Ok(stale) => stale,
            Err(error) => {
                self.next.clear();
                tracing::error!(%error, "old attempts cannot be read; they are kept");
                return;
            }
        };
        if stale.malformed > 0 {
            tracing::error!(
                attempts = stale.malformed,
                "attempts that do not parse were dropped"
            );
        }
        let mut write = outbox.write();
        for key in stale.keys {
            write.forget_attempted(key);
        }
        self.next = stale.next;
        let _failed_is_remembered = shared.commit(write, Durability::Buffered);
    }
}
