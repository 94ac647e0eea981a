//! Writes profiles behind the journal, in large batches, so that a restart has little to replay.
//!
//! The cursor moves only to where every change below it is in the store, and only after the batch
//! that made it so was synced.

mod behind;
mod reached;
mod sweep;
mod writing;

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tidegate_event::{ProfileId, Timestamp};
use tidegate_journal::{Cursor, Journal, Stats};

pub(super) use behind::Behind;

use super::CoreSettings;
use super::dedup::Dedup;
use super::metrics::CoreMetrics;
use super::schedule::AHEAD_MS;
use crate::clock::Clock;
use crate::profile::census::Sum;
use crate::profile::live::{DueIndex, Profiles};
use crate::profile::store::{DedupRows, StoreError};
use reached::Reached;
use writing::Writing;

/// The cursor's name.
pub const CURSOR: &str = "checkpoint";
/// Deduplication keys in one row.
const DEDUP_ROW_KEYS: usize = 4_096;

/// How much to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is over the lag, what ended its session, what must be evicted.
    Due,
    /// Everything durable: at shutdown.
    All,
}

/// What a pass works on: the parts of the core that it reads, and the rows that it writes.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) journal: &'a Journal,
    pub(super) profiles: &'a Profiles,
    pub(super) dedup: &'a Dedup,
    pub(super) behind: &'a Behind,
    pub(super) clock: &'a dyn Clock,
    pub(super) metrics: &'a CoreMetrics,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// One pass at a time.
    writing: Mutex<Writing>,
    cursor: Mutex<Cursor>,
    reached: Mutex<Reached>,
    /// What the last pass of the sweep counted.
    stored: Mutex<Sum>,
    bounds: Bounds,
}

/// What it keeps to, from the settings.
#[derive(Debug)]
struct Bounds {
    /// How far a profile's row may be behind, in records.
    lag_records: u64,
    /// Bytes.
    disk_budget: u64,
    dedup_window_ms: i64,
    retention_ms: i64,
    /// Bytes.
    disk_max: u64,
}

impl Bounds {
    fn of(settings: &CoreSettings) -> Self {
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        Self {
            lag_records: settings.lag_records,
            disk_budget: settings.disk_budget,
            dedup_window_ms: ms(settings.dedup_window_ms),
            retention_ms: ms(settings.retention_ms),
            disk_max: settings.disk_max,
        }
    }
}

impl Checkpointer {
    /// Goes on at `cursor`. `reached`: what the store noted of the journal's minutes.
    pub(super) fn new(
        cursor: Cursor,
        reached: BTreeMap<Timestamp, u64>,
        settings: &CoreSettings,
    ) -> Self {
        Self {
            writing: Mutex::default(),
            cursor: Mutex::new(cursor),
            reached: Mutex::new(Reached::new(reached)),
            stored: Mutex::default(),
            bounds: Bounds::of(settings),
        }
    }

    /// Everything below is in the store.
    pub(super) fn position(&self) -> u64 {
        self.cursor.lock().position()
    }

    /// Stored profiles, as of the last whole sweep and what changed since.
    pub(super) fn stored(&self) -> Sum {
        *self.stored.lock()
    }

    /// Writes what is to be written and moves the checkpoint's cursor; says how many profiles.
    ///
    /// # Errors
    /// [`StoreError`]; the cursor stays.
    pub(super) fn pass(&self, work: Work<'_>, extent: Extent) -> Result<usize, StoreError> {
        let mut writing = self.writing.lock();
        let durable = work.journal.durable();
        let mut written = 0;
        let mut dedup = dedup_rows(work.dedup, durable);
        let index = match extent {
            Extent::Due => DueIndex::Lazy {
                until: work.clock.now().plus_ms(AHEAD_MS),
            },
            // The next process finds none of them in memory.
            Extent::All => DueIndex::Exact,
        };
        loop {
            let room = writing.room();
            let ids = self.next_batch(work, extent, durable, &writing);
            writing.make_rows(work.profiles, &ids, index)?;
            let wrote = writing
                .write_durable(work, &dedup)
                .inspect_err(|_| work.dedup.not_saved(dedup.drain(..).flatten()))?;
            dedup.clear();
            written += wrote;
            if wrote == 0 || ids.len() < room {
                break;
            }
        }
        self.advance(work, durable)?;
        self.forget_old_keys(work)?;
        if extent == Extent::Due {
            written += writing.evict(work)?;
            self.sweep(work, &mut writing.sweep)?;
        }
        Ok(written)
    }

    fn next_batch(
        &self,
        work: Work<'_>,
        extent: Extent,
        durable: u64,
        writing: &Writing,
    ) -> Vec<ProfileId> {
        let lag = match extent {
            Extent::All => 0,
            Extent::Due if self.holds_half_the_journal(work.journal) => 0,
            Extent::Due => self.bounds.lag_records,
        };
        let room = writing.room();
        let mut ids = work.behind.take_ended(room);
        let room = room - ids.len();
        let is_over = |oldest: u64| oldest.saturating_add(lag) < durable;
        let is_unheld = |id: &ProfileId| !writing.holds(id);
        work.behind.add_oldest(&mut ids, room, is_over, is_unheld);
        ids
    }

    /// Whether what it alone may still hold of the journal is over half of what others leave of the
    /// budget. What retention keeps beside that goes by itself when there is no room.
    fn holds_half_the_journal(&self, journal: &Journal) -> bool {
        let stats = journal.stats();
        let budget = self.bounds.disk_budget;
        let room = budget.saturating_sub(stats.charged_bytes);
        held_bytes(&stats, self.position()) > room / 2
    }

    /// The store notes it first: at the next start it is never behind the cursor, unless it was
    /// damaged or exchanged.
    fn advance(&self, work: Work<'_>, durable: u64) -> Result<(), StoreError> {
        let oldest = work.behind.oldest().unwrap_or(durable);
        let position = oldest.min(durable);
        if position > self.position() {
            let store = work.profiles.store()?;
            store.note_holds(work.journal.id(), position)?;
            self.cursor.lock().advance(position);
        }
        Ok(())
    }

    /// A mutant for the simulation: the cursor passes profiles that are not written.
    #[cfg(test)]
    pub(super) fn run_ahead(&self, journal: &Journal) {
        self.cursor.lock().advance(journal.durable());
    }

    /// Lets keys go that are older than the window, and from the store those that memory, which is
    /// bounded, let go.
    fn forget_old_keys(&self, work: Work<'_>) -> Result<(), StoreError> {
        let store = work.profiles.store()?;
        let now = work.clock.now();
        let begins = Timestamp(now.0.saturating_sub(self.bounds.dedup_window_ms));
        let mut reached = self.reached.lock();
        let durable = work.journal.durable();
        if let Some(minute) = reached.note(now, durable) {
            store.note_reached(minute, durable)?;
        }
        if let Some(offset) = reached.take_before(begins) {
            work.dedup.forget_below(offset);
            store.forget_reached(begins)?;
        }
        store.forget_dedup(work.dedup.oldest().unwrap_or(durable))
    }

    /// Makes room for other profiles in memory where there is none: also in the midst of a replay.
    pub(super) fn evict(&self, work: Work<'_>) -> Result<usize, StoreError> {
        self.writing.lock().evict(work)
    }
}

fn dedup_rows(dedup: &Dedup, durable: u64) -> Vec<DedupRows> {
    dedup
        .unsaved(durable)
        .chunks(DEDUP_ROW_KEYS)
        .map(<[_]>::to_vec)
        .collect()
}

/// The part of the journal from `position` on, by the records.
fn held_bytes(stats: &Stats, position: u64) -> u64 {
    let kept = stats.durable.saturating_sub(stats.oldest).max(1);
    let held = stats.durable.saturating_sub(position).min(kept);
    let bytes = u128::from(stats.disk_bytes) * u128::from(held) / u128::from(kept);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_retention_keeps_makes_the_checkpoint_no_busier() {
        let stats = Stats {
            oldest: 1_000,
            durable: 11_000,
            disk_bytes: 10 << 20,
            ..Stats::default()
        };
        assert_eq!(held_bytes(&stats, 11_000), 0);
        assert_eq!(held_bytes(&stats, 6_000), 5 << 20);
        assert_eq!(
            held_bytes(&stats, 0),
            10 << 20,
            "a new cursor holds all of it"
        );
        assert_eq!(held_bytes(&Stats::default(), 0), 0);
    }
}
