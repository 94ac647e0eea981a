//! Writes profiles behind the journal, in large batches, so that a restart has little to replay.
//!
//! The cursor moves only to where every change below it is in the store, and only after the batch
//! that made it so was synced.

use tidegate_event::{ProfileId, Timestamp};
use tidegate_journal::Stats;

use super::Core;
use super::fire::AHEAD_MS;
use crate::profile::live::{DueIndex, Shared};
use crate::profile::store::{DedupRows, ProfileWrite, StoreError};

/// The cursor's name.
pub const CURSOR: &str = "checkpoint";
/// Profiles in one atomic batch.
const BATCH: usize = 4_096;
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

/// A profile taken for a batch: what it looked like then.
struct Taken {
    shared: Shared,
    applied: u64,
    identifiers: usize,
    due: Option<Timestamp>,
}

impl Core {
    /// Writes what is to be written and moves the checkpoint's cursor; says how many profiles.
    ///
    /// # Errors
    /// [`StoreError`]; the cursor stays.
    pub fn checkpoint(&self, extent: Extent) -> Result<usize, StoreError> {
        let durable = self.0.journal.durable();
        let mut written = 0;
        let mut dedup = self.dedup_rows(durable);
        let index = match extent {
            Extent::Due => DueIndex::Lazy {
                until: self.0.clock.now().plus_ms(AHEAD_MS),
            },
            // The next process finds none of them in memory.
            Extent::All => DueIndex::Exact,
        };
        loop {
            let ids = self.next_batch(extent, durable);
            let wrote = self
                .write_batch(&ids, durable, &dedup, index)
                .inspect_err(|_| self.0.dedup.not_saved(dedup.drain(..).flatten()))?;
            dedup.clear();
            written += wrote;
            if wrote == 0 || ids.len() < BATCH {
                break;
            }
        }
        self.advance(durable);
        self.forget_old_keys()?;
        if extent == Extent::Due {
            written += self.evict()?;
        }
        Ok(written)
    }

    fn dedup_rows(&self, durable: u64) -> Vec<DedupRows> {
        self.0
            .dedup
            .unsaved(durable)
            .chunks(DEDUP_ROW_KEYS)
            .map(<[_]>::to_vec)
            .collect()
    }

    fn next_batch(&self, extent: Extent, durable: u64) -> Vec<ProfileId> {
        let lag = match extent {
            Extent::All => 0,
            Extent::Due if self.holds_half_the_journal() => 0,
            Extent::Due => self.0.settings.lag_records,
        };
        let mut ids = {
            let mut ended = self.0.ended.lock();
            let from = ended.len().saturating_sub(BATCH);
            ended.split_off(from)
        };
        let room = BATCH - ids.len();
        let dirty = self.0.dirty.lock();
        ids.extend(
            dirty
                .iter()
                .take_while(|(oldest, _)| oldest.saturating_add(lag) < durable)
                .map(|(_, id)| *id)
                .take(room),
        );
        ids
    }

    /// Whether what it alone may still hold of the journal is over half of what others leave of the
    /// budget. What retention keeps beside that goes by itself when there is no room.
    fn holds_half_the_journal(&self) -> bool {
        let stats = self.0.journal.stats();
        let budget = self.0.settings.disk_budget;
        let room = budget.saturating_sub(stats.charged_bytes);
        held_bytes(&stats, self.0.cursor.lock().position()) > room / 2
    }

    fn write_batch(
        &self,
        ids: &[ProfileId],
        durable: u64,
        dedup: &[DedupRows],
        index: DueIndex,
    ) -> Result<usize, StoreError> {
        let mut rows: Vec<ProfileWrite> = Vec::with_capacity(ids.len());
        let mut taken: Vec<Taken> = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(shared) = self.0.profiles.get(*id)? else {
                continue;
            };
            let mut live = shared.lock();
            // It may just have been loaded, and what is live is no longer looked for at rest.
            self.schedule(&mut live);
            // A row may hold only what is durable; the rest of it comes with the next batch. One
            // that nothing was folded into is not born yet, and may never be.
            if !(1..=durable).contains(&live.profile.applied_offset) {
                continue;
            }
            let row = live.write(index)?;
            let (applied, identifiers) =
                (live.profile.applied_offset, live.profile.identifiers.len());
            drop(live);
            taken.push(Taken {
                shared,
                applied,
                identifiers,
                due: row.due,
            });
            rows.push(row);
        }
        if rows.is_empty() && dedup.is_empty() {
            return Ok(0);
        }
        self.0.profiles.store()?.write(rows, dedup)?;
        for taken in &taken {
            self.mark_written(taken);
        }
        self.0
            .metrics
            .checkpoint_rows
            .inc_by(u64::try_from(taken.len()).unwrap_or(0));
        Ok(taken.len())
    }

    fn mark_written(&self, taken: &Taken) {
        let mut live = taken.shared.lock();
        let mut dirty = self.0.dirty.lock();
        dirty.remove(&(live.first_dirty, live.profile.id));
        if !live.written(taken.applied, taken.identifiers, taken.due) {
            dirty.insert((live.first_dirty, live.profile.id));
        }
    }

    fn advance(&self, durable: u64) {
        let oldest = self
            .0
            .dirty
            .lock()
            .first()
            .map_or(durable, |(oldest, _)| *oldest);
        let position = oldest.min(durable);
        self.0.cursor.lock().advance(position);
    }

    /// A mutant for the simulation: the cursor passes profiles that are not written.
    #[cfg(test)]
    pub(crate) fn run_the_checkpoint_ahead(&self) {
        self.0.cursor.lock().advance(self.0.journal.durable());
    }

    /// Lets keys go that are older than the window, and from the store those that memory, which is
    /// bounded, let go.
    fn forget_old_keys(&self) -> Result<(), StoreError> {
        let store = self.0.profiles.store()?;
        let now = self.0.clock.now();
        let window = i64::try_from(self.0.settings.dedup_window_ms).unwrap_or(i64::MAX);
        let begins = Timestamp(now.0.saturating_sub(window));
        let mut reached = self.0.reached.lock();
        let durable = self.0.journal.durable();
        if let Some(minute) = reached.note(now, durable) {
            store.note_reached(minute, durable)?;
        }
        if let Some(offset) = reached.take_before(begins) {
            self.0.dedup.forget_below(offset);
            store.forget_reached(begins)?;
        }
        store.forget_dedup(self.0.dedup.oldest().unwrap_or(durable))
    }

    /// Lets profiles beyond the bound go: of a few in turn the longest unseen.
    fn evict(&self) -> Result<usize, StoreError> {
        let surplus = self
            .0
            .profiles
            .len()
            .saturating_sub(self.0.settings.live_max);
        if surplus == 0 {
            return Ok(0);
        }
        let surplus = surplus.min(BATCH);
        let mut seen: Vec<(Timestamp, ProfileId)> = Vec::new();
        for id in self.0.profiles.next_of_all(surplus * 4) {
            if let Some(shared) = self.0.profiles.get(id)? {
                seen.push((shared.lock().profile.last_seen, id));
            }
        }
        seen.sort_unstable();
        let ids: Vec<ProfileId> = seen.into_iter().take(surplus).map(|(_, id)| id).collect();
        let written = self.write_batch(&ids, self.0.journal.durable(), &[], DueIndex::Exact)?;
        for id in ids {
            if self.0.profiles.evict(id) {
                self.0.metrics.evictions.inc();
            }
        }
        Ok(written)
    }
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
