//! The rows of one pass: made under their profiles' locks, written once they hold only what is
//! durable; and the profiles that leave memory.

use std::collections::BTreeMap;

use tidegate_event::{ProfileId, Timestamp};

use super::Work;
use super::sweep::Sweep;
use crate::profile::live::{DueIndex, Profiles, Shared};
use crate::profile::store::{DedupRows, ProfileWrite, StoreError, stored_bytes};

/// Profiles in one atomic batch.
const BATCH: usize = 4_096;

/// Rows that were made under their profiles' locks and may not be written yet: each holds changes
/// that are not durable. Their profiles stay in memory, and so does the cursor, until they are.
#[derive(Debug, Default)]
pub(super) struct Writing {
    held: BTreeMap<ProfileId, Taken>,
    pub(super) sweep: Sweep,
}

impl Writing {
    /// Rows that a batch still has place for.
    pub(super) fn room(&self) -> usize {
        BATCH.saturating_sub(self.held.len())
    }

    /// True where a row of this profile waits.
    pub(super) fn holds(&self, id: &ProfileId) -> bool {
        self.held.contains_key(id)
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

    /// Makes the rows of `ids`, each under its profile's lock, so that a profile with an event
    /// between any two looks is written as well.
    pub(super) fn make_rows(
        &mut self,
        profiles: &Profiles,
        ids: &[ProfileId],
        index: DueIndex,
    ) -> Result<(), StoreError> {
        for id in ids {
            if self.held.contains_key(id) {
                continue;
            }
            let Some(shared) = profiles.in_memory(*id) else {
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
                (bytes, live.profile.active_at())
            });
            drop(live);
            let state = State {
                shared,
                applied,
                identifiers,
                due: row.due,
                new,
            };
            self.held.insert(*id, Taken { row, state });
        }
        Ok(())
    }

    /// Writes the rows that hold only what is durable; says how many.
    pub(super) fn write_durable(
        &mut self,
        work: Work<'_>,
        dedup: &[DedupRows],
    ) -> Result<usize, StoreError> {
        let ready = self.take_durable(work.journal.durable());
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
        work.profiles.store()?.write(rows, dedup)?;
        for state in &states {
            let mut live = state.shared.lock();
            let behind = work.behind;
            behind.written(&mut live, state.applied, state.identifiers, state.due);
            drop(live);
            if let Some((bytes, last_seen)) = state.new {
                self.sweep.stored(state.shared.id(), last_seen, bytes);
            }
        }
        let rows = u64::try_from(states.len()).unwrap_or(0);
        work.metrics.checkpoint_rows.inc_by(rows);
        Ok(states.len())
    }

    /// Lets profiles above `profiles.live_max` go until none is: of a few in turn the longest
    /// unseen. What cannot go yet, its row being held, is left for the next pass.
    pub(super) fn evict(&mut self, work: Work<'_>) -> Result<usize, StoreError> {
        let profiles = work.profiles;
        let mut written = 0;
        // New ones come meanwhile; the checkpoint's own work has its turn as well.
        let rounds = 1 + 2 * profiles.room().surplus().div_ceil(BATCH);
        for _ in 0..rounds {
            let surplus = profiles.room().surplus().min(BATCH);
            if surplus == 0 {
                break;
            }
            let ids = longest_unseen(profiles, surplus);
            self.make_rows(profiles, &behind(profiles, &ids), DueIndex::Exact)?;
            written += self.write_durable(work, &[])?;
            let evicted = ids.into_iter().filter(|id| profiles.evict(*id));
            let evicted = u64::try_from(evicted.count()).unwrap_or(u64::MAX);
            work.metrics.evictions.inc_by(evicted);
            if evicted == 0 {
                break;
            }
        }
        Ok(written)
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

/// Of four times as many profiles in memory, the `count` that were not seen for longest.
fn longest_unseen(profiles: &Profiles, count: usize) -> Vec<ProfileId> {
    let mut seen: Vec<(Timestamp, ProfileId)> = profiles
        .next_of_all(count * 4)
        .into_iter()
        .filter_map(|id| Some((profiles.in_memory(id)?.lock().profile.active_at(), id)))
        .collect();
    seen.sort_unstable();
    seen.into_iter().take(count).map(|(_, id)| id).collect()
}

/// Those of `ids` whose row or due index is behind.
fn behind(profiles: &Profiles, ids: &[ProfileId]) -> Vec<ProfileId> {
    let behind = |id: &ProfileId| {
        let shared = profiles.in_memory(*id);
        shared.is_some_and(|shared| shared.lock().needs_row())
    };
    ids.iter().copied().filter(behind).collect()
}
