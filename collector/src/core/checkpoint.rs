//! Writes profiles behind the journal, in large batches, so that a restart has little to replay.
//!
//! The cursor moves only to where every change below it is in the store, and only after the batch
//! that made it so was synced.

use std::collections::BTreeMap;

use tidegate_event::{ProfileId, Timestamp};
use tidegate_journal::Stats;

use super::Core;
use super::ahead::AHEAD_MS;
use super::sweep::Sweep;
use crate::profile::live::{DueIndex, Shared};
use crate::profile::store::{DedupRows, ProfileWrite, StoreError, stored_bytes};

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

/// Rows that were made under their profiles' locks and may not be written yet: each holds changes
/// that are not durable. Their profiles stay in memory, and so does the cursor, until they are.
#[derive(Debug, Default)]
pub(super) struct Writing {
    held: BTreeMap<ProfileId, Taken>,
    sweep: Sweep,
}

impl Writing {
    fn room(&self) -> usize {
        BATCH.saturating_sub(self.held.len())
    }

    /// Takes out what is durable, in the order of what it holds.
    fn take_durable(&mut self, durable: u64) -> Vec<Taken> {
        let ready = self
            .held
            .extract_if(.., |_, taken| taken.state.applied <= durable);
        let mut ready: Vec<Taken> = ready.map(|(_, taken)| taken).collect();
        ready.sort_unstable_by_key(|taken| taken.state.applied);
        ready
    }
}

/// A row, and what its profile looked like when it was made.
#[derive(Debug)]
struct Taken {
    row: ProfileWrite,
    state: State,
}

#[derive(Debug)]
struct State {
    shared: Shared,
    applied: u64,
    identifiers: usize,
    due: Option<Timestamp>,
    /// Its bytes and last event, where it was never written before.
    new: Option<(u64, Timestamp)>,
}

impl Core {
    /// Writes what is to be written and moves the checkpoint's cursor; says how many profiles.
    ///
    /// # Errors
    /// [`StoreError`]; the cursor stays.
    pub fn checkpoint(&self, extent: Extent) -> Result<usize, StoreError> {
        let mut writing = self.0.writing.lock();
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
            let room = writing.room();
            let ids = self.next_batch(extent, durable, &writing);
            self.make_rows(&mut writing, &ids, index)?;
            let wrote = self
                .write_durable(&mut writing, &dedup)
                .inspect_err(|_| self.0.dedup.not_saved(dedup.drain(..).flatten()))?;
            dedup.clear();
            written += wrote;
            if wrote == 0 || ids.len() < room {
                break;
            }
        }
        self.advance(durable)?;
        self.forget_old_keys()?;
        if extent == Extent::Due {
            written += self.evict(&mut writing)?;
            self.sweep(&mut writing.sweep)?;
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

    fn next_batch(&self, extent: Extent, durable: u64, writing: &Writing) -> Vec<ProfileId> {
        let lag = match extent {
            Extent::All => 0,
            Extent::Due if self.holds_half_the_journal() => 0,
            Extent::Due => self.0.settings.lag_records,
        };
        let room = writing.room();
        let mut ids = {
            let mut ended = self.0.ended.lock();
            let from = ended.len().saturating_sub(room);
            ended.split_off(from)
        };
        let room = room - ids.len();
        let dirty = self.0.dirty.lock();
        ids.extend(
            dirty
                .iter()
                .take_while(|(oldest, _)| oldest.saturating_add(lag) < durable)
                .map(|(_, id)| *id)
                .filter(|id| !writing.held.contains_key(id))
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

    /// Makes the rows of `ids`, each under its profile's lock, so that a profile with an event
    /// between any two looks is written as well.
    fn make_rows(
        &self,
        writing: &mut Writing,
        ids: &[ProfileId],
        index: DueIndex,
    ) -> Result<(), StoreError> {
        for id in ids {
            if writing.held.contains_key(id) {
                continue;
            }
            let Some(shared) = self.0.profiles.in_memory(*id) else {
                continue;
            };
            let live = shared.lock();
            // One that nothing was folded into is not born yet, and may never be.
            if live.profile.applied_offset == 0 {
                continue;
            }
            let row = live.write(index)?;
            let (applied, identifiers) =
                (live.profile.applied_offset, live.profile.identifiers.len());
            let new = live.is_new().then(|| {
                let bytes = stored_bytes(&row.row, &live.profile);
                (bytes, live.profile.last_seen)
            });
            drop(live);
            let state = State {
                shared,
                applied,
                identifiers,
                due: row.due,
                new,
            };
            writing.held.insert(*id, Taken { row, state });
        }
        Ok(())
    }

    /// Writes the rows that hold only what is durable; says how many.
    fn write_durable(
        &self,
        writing: &mut Writing,
        dedup: &[DedupRows],
    ) -> Result<usize, StoreError> {
        let ready = writing.take_durable(self.0.journal.durable());
        if ready.is_empty() && dedup.is_empty() {
            return Ok(0);
        }
        let (mut rows, mut states) = (Vec::new(), Vec::new());
        for Taken { mut row, state } in ready {
            // Merged since its row was made: its identifiers are the winner's.
            if state.shared.lock().profile.alias_of.is_some() {
                row.edges.clear();
            }
            rows.push(row);
            states.push(state);
        }
        self.0.profiles.store()?.write(rows, dedup)?;
        for state in &states {
            self.mark_written(state);
            if let Some((bytes, last_seen)) = state.new {
                writing.sweep.stored(state.shared.id(), last_seen, bytes);
            }
        }
        self.0
            .metrics
            .checkpoint_rows
            .inc_by(u64::try_from(states.len()).unwrap_or(0));
        Ok(states.len())
    }

    fn mark_written(&self, state: &State) {
        let mut live = state.shared.lock();
        let mut dirty = self.0.dirty.lock();
        dirty.remove(&(live.first_dirty, live.profile.id));
        if !live.written(state.applied, state.identifiers, state.due) {
            dirty.insert((live.first_dirty, live.profile.id));
        }
    }

    /// The store notes it first: at the next start it is never behind the cursor, unless it was
    /// damaged or exchanged.
    fn advance(&self, durable: u64) -> Result<(), StoreError> {
        let oldest = self
            .0
            .dirty
            .lock()
            .first()
            .map_or(durable, |(oldest, _)| *oldest);
        let position = oldest.min(durable);
        if position > self.0.cursor.lock().position() {
            let store = self.0.profiles.store()?;
            store.note_holds(self.0.journal.id(), position)?;
            self.0.cursor.lock().advance(position);
        }
        Ok(())
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

    /// Lets profiles above `profiles.live_max` go until none is: of a few in turn the longest
    /// unseen. What cannot go yet, its row being held, is left for the next pass.
    pub(super) fn evict(&self, writing: &mut Writing) -> Result<usize, StoreError> {
        let mut written = 0;
        // New ones come meanwhile; the checkpoint's own work has its turn as well.
        let rounds = 1 + 2 * self.0.profiles.room().surplus().div_ceil(BATCH);
        for _ in 0..rounds {
            let surplus = self.0.profiles.room().surplus().min(BATCH);
            if surplus == 0 {
                break;
            }
            let ids = self.longest_unseen(surplus);
            self.make_rows(writing, &self.behind(&ids), DueIndex::Exact)?;
            written += self.write_durable(writing, &[])?;
            let evicted = ids.into_iter().filter(|id| self.0.profiles.evict(*id));
            let evicted = u64::try_from(evicted.count()).unwrap_or(u64::MAX);
            self.0.metrics.evictions.inc_by(evicted);
            if evicted == 0 {
                break;
            }
        }
        Ok(written)
    }

    /// Of four times as many profiles in memory, the `count` that were not seen for longest.
    fn longest_unseen(&self, count: usize) -> Vec<ProfileId> {
        let profiles = &self.0.profiles;
        let mut seen: Vec<(Timestamp, ProfileId)> = profiles
            .next_of_all(count * 4)
            .into_iter()
            .filter_map(|id| Some((profiles.in_memory(id)?.lock().profile.last_seen, id)))
            .collect();
        seen.sort_unstable();
        seen.into_iter().take(count).map(|(_, id)| id).collect()
    }

    /// Those of `ids` whose row or due index is behind.
    fn behind(&self, ids: &[ProfileId]) -> Vec<ProfileId> {
        let profiles = &self.0.profiles;
        let behind = |id: &ProfileId| {
            let shared = profiles.in_memory(*id);
            shared.is_some_and(|shared| shared.lock().needs_row())
        };
        ids.iter().copied().filter(behind).collect()
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
