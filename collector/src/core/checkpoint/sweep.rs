//! Lets stored profiles go: those not seen for `profiles.retention`, and the oldest where all take
//! more than `profiles.disk_max`. Reads the stored rows from the first to the last, some each
//! second, and begins again. Runs in the pass of the checkpoint, the only writer of rows.

use tidegate_event::{ProfileId, Timestamp};

use super::{Checkpointer, Work};
use crate::profile::census::Census;
use crate::profile::store::{StoreError, StoredRow};

/// Rows read in one pass.
const ROWS: usize = 2_000;
/// Rows read in one pass while profiles take too much, or were not all counted yet.
const ROWS_HURRIED: usize = 10_000;
/// A pass is at least this long after the one before.
const PASS_MS: i64 = 1_000;

/// Where the sweep is, and what it has counted.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The next row; None before the first.
    from: Option<ProfileId>,
    passed_at: Option<Timestamp>,
    /// As of the last whole sweep, with what was written and removed since.
    counted: Census,
    /// Rows that this sweep has read.
    counting: Census,
    /// A whole sweep was made.
    complete: bool,
    /// Profiles take more than they may, and the oldest go until a tenth is free again.
    over: bool,
}

/// What is left when the oldest have gone.
const fn aim(disk_max: u64) -> u64 {
    disk_max - disk_max / 10
}

/// Why a profile went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expired {
    Retention,
    Disk,
}

impl Sweep {
    /// A profile was written for the first time.
    pub(super) fn stored(&mut self, id: ProfileId, last_seen: Timestamp, bytes: u64) {
        self.counted.add(last_seen, bytes);
        if self.from.is_some_and(|from| id < from) {
            self.counting.add(last_seen, bytes);
        }
    }

    fn removed(&mut self, last_seen: Timestamp, bytes: u64) {
        self.counted.remove(last_seen, bytes);
        self.counting.remove(last_seen, bytes);
    }

    fn rows(&self) -> usize {
        if self.over || !self.complete {
            ROWS_HURRIED
        } else {
            ROWS
        }
    }

    /// True while the oldest have to go.
    fn is_over(&mut self, disk_max: u64) -> bool {
        let bytes = self.counted.all().bytes;
        self.over = bytes > disk_max || (self.over && bytes > aim(disk_max));
        self.over
    }

    /// Those last seen before this go to free disk.
    fn disk_limit(&mut self, disk_max: u64) -> Option<Timestamp> {
        let surplus = self.counted.all().bytes.saturating_sub(aim(disk_max));
        let over = self.is_over(disk_max);
        over.then(|| self.counted.oldest(surplus)).flatten()
    }

    /// True where a pass is due at `now`.
    fn is_due(&mut self, now: Timestamp) -> bool {
        let due = self.passed_at.is_none_or(|at| now.since(at) >= PASS_MS);
        if due {
            self.passed_at = Some(now);
        }
        due
    }

    fn end(&mut self) {
        self.from = None;
        self.counted = std::mem::take(&mut self.counting);
        self.complete = true;
    }
}

impl Checkpointer {
    /// Reads the next rows and removes those of them that may go.
    pub(super) fn sweep(&self, work: Work<'_>, sweep: &mut Sweep) -> Result<(), StoreError> {
        let now = work.clock.now();
        if !sweep.is_due(now) {
            return Ok(());
        }
        let bounds = &self.bounds;
        let too_old = Timestamp(now.0.saturating_sub(bounds.retention_ms));
        let rows = sweep.rows();
        let page = work.profiles.store()?.rows(sweep.from, rows)?;
        let read = page.len();
        let disk_limit = sweep.disk_limit(bounds.disk_max);
        let mut expired = Vec::new();
        for row in page {
            sweep.from = Some(ProfileId(row.id.0.saturating_add(1)));
            let Some(last_seen) = row.last_seen else {
                work.metrics.store_errors.inc();
                tracing::error!(profile = %row.id, "a profile's row does not parse; it is passed over");
                continue;
            };
            sweep.counting.add(last_seen, row.bytes);
            if last_seen < too_old {
                expired.push((row, too_old, Expired::Retention));
            } else if let Some(limit) = disk_limit.filter(|limit| last_seen < *limit) {
                expired.push((row, limit, Expired::Disk));
            }
        }
        // No more go than have to: the oldest of these first.
        expired.sort_unstable_by_key(|(row, ..)| row.last_seen);
        self.remove_expired(work, sweep, &expired)?;
        if read < rows {
            sweep.end();
        }
        *self.stored.lock() = sweep.counted.all();
        Ok(())
    }

    /// A replay must not bring back the tail of what was removed: only what the saved cursor has
    /// passed may go.
    fn remove_expired(
        &self,
        work: Work<'_>,
        sweep: &mut Sweep,
        expired: &[(StoredRow, Timestamp, Expired)],
    ) -> Result<(), StoreError> {
        if expired.is_empty() {
            return Ok(());
        }
        let passed = self.position();
        if let Err(error) = work.journal.save_cursors() {
            tracing::warn!(%error, "expired profiles stay: the cursors were not saved");
            return Ok(());
        }
        let profiles = work.profiles;
        for (row, limit, why) in expired {
            if *why == Expired::Disk && !sweep.is_over(self.bounds.disk_max) {
                continue;
            }
            if profiles.in_memory(row.id).is_some() && !profiles.evict(row.id) {
                continue;
            }
            let may_go = |last_seen: Timestamp, applied_offset: u64| {
                last_seen < *limit && applied_offset <= passed
            };
            if profiles.remove_stored(row.id, may_go)? {
                sweep.removed(row.last_seen.unwrap_or_default(), row.bytes);
                match why {
                    Expired::Retention => work.metrics.expired_retention.inc(),
                    Expired::Disk => work.metrics.expired_disk.inc(),
                };
            }
        }
        Ok(())
    }
}
