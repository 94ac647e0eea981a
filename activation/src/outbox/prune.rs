//! Keeps what is not delivered any more within its bounds: dead letters by number and age, attempts
//! by age. Looks at the oldest first and remembers where they begin, so that a round costs what it
//! removes.

use std::sync::atomic::Ordering;

use super::storage::Durability;
use crate::destination::Destination;
use crate::error::StoreError;
use crate::shared::Shared;

/// Attempts looked at in one round of pruning.
const ATTEMPTS_MAX: usize = 1_000;
/// Groups between two rounds of pruning.
const EVERY: u32 = 64;
/// Dead letters removed in one batch at most.
const DEAD_MAX: usize = 4_096;

/// Drops the oldest dead letters beyond the cap.
pub(crate) fn trim_dead(shared: &Shared, destination: &Destination) {
    let most = shared.settings.dead_letters_max;
    let surplus = destination.dead.count().saturating_sub(most);
    let surplus = usize::try_from(surplus).unwrap_or(usize::MAX).min(DEAD_MAX);
    if surplus == 0 {
        return;
    }
    let dropped = drop_oldest(shared, destination, |first| {
        let outbox = shared.outbox()?;
        let numbers = outbox.dead_numbers(destination.id, first).take(surplus);
        Ok(Chosen {
            numbers: numbers.collect::<Result<_, _>>()?,
            kept: None,
        })
    });
    let counter = &destination.stats.dead_dropped;
    counter.fetch_add(dropped, Ordering::Relaxed);
}

/// Drops dead letters beyond the age limit. One that does not parse has no age and stays.
pub(super) fn drop_aged(shared: &Shared, destination: &Destination) {
    let most = i64::try_from(shared.settings.dead_letters_max_age_ms).unwrap_or(i64::MAX);
    let before = shared.clock.now().plus_ms(most.saturating_neg());
    let dropped = drop_oldest(shared, destination, |first| {
        let outbox = shared.outbox()?;
        let mut chosen = Chosen::default();
        for letter in outbox.dead_from(destination.id, first).take(DEAD_MAX) {
            match letter? {
                (number, Ok(row)) if row.at < before => chosen.numbers.push(number),
                (_, Ok(_)) => break,
                (number, Err(_)) => {
                    chosen.kept.get_or_insert(number);
                }
            }
        }
        Ok(chosen)
    });
    let counter = &destination.stats.dead_aged;
    counter.fetch_add(dropped, Ordering::Relaxed);
}

/// Letters to drop.
#[derive(Debug, Default)]
struct Chosen {
    numbers: Vec<u64>,
    /// The first one between them that stays.
    kept: Option<u64>,
}

/// Removes the letters that `choose` finds from the first live one on; returns how many.
fn drop_oldest(
    shared: &Shared,
    destination: &Destination,
    choose: impl FnOnce(u64) -> Result<Chosen, StoreError>,
) -> u64 {
    let mut first = destination.dead.first();
    let Chosen { numbers, kept } = match choose(*first) {
        Ok(chosen) => chosen,
        Err(error) => {
            shared.unreadable(
                destination,
                &format!("dead letters cannot be read: {error}"),
            );
            return 0;
        }
    };
    let Ok(outbox) = shared.outbox() else {
        return 0;
    };
    let mut write = outbox.write();
    for number in &numbers {
        write.remove_dead(destination.id, *number);
    }
    if shared.commit(write, Durability::Buffered).is_err() {
        return 0;
    }
    if let Some(last) = numbers.last() {
        *first = kept.unwrap_or(last + 1);
    }
    drop(first);
    let dropped = numbers.len() as u64;
    destination.dead.removed(dropped);
    dropped
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
