//! Which segments may go, and what goes with them. Never the active one, never one that a
//! required cursor still needs. The active one is closed by age, so that its records go too.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use crate::core::Core;
use crate::error::{At, FileError};
use crate::log::{SegmentInfo, segment_path};
use crate::preparer::name_spare;

/// The active segment is closed when its first record has this part of the retention behind it: so
/// much longer than the retention a record of a quiet site may stay.
const CLOSE_AFTER: i64 = 4;

impl Core {
    /// Closes the active segment where it is old, so that it can retire although it is not full.
    /// Only where nothing is promised and the budget leaves room for one more segment: it must not
    /// make [`crate::Journal::reserve`] answer [`Full`](crate::Full).
    pub(crate) fn close_old(&self) {
        let mut writer = self.writer.lock();
        let Some(began_at) = writer.began_at else {
            return;
        };
        let age = i64::try_from(self.settings.retention_ms).unwrap_or(i64::MAX) / CLOSE_AFTER;
        let now = self.now.load(Ordering::Relaxed);
        if self.ended() || now.saturating_sub(began_at) < age.max(1) || !self.may_close() {
            return;
        }
        if let Err(error) = self.roll(&mut writer) {
            drop(writer);
            self.fail(error);
        }
    }

    fn may_close(&self) -> bool {
        let idle = {
            let queue = self.queue.lock();
            queue.is_empty() && queue.reserved_bytes() == 0
        };
        let next = self.settings.segment_bytes;
        let room = self.disk_bytes() + self.charged_bytes() + next <= self.settings.disk_budget;
        idle && room && !self.spares.lock().is_empty()
    }

    /// Retires what is older than the retention.
    ///
    /// # Errors
    /// Those of the storage.
    pub(crate) fn retire(&self) -> Result<(), FileError> {
        let age = i64::try_from(self.settings.retention_ms).unwrap_or(i64::MAX);
        let horizon = self.now.load(Ordering::Relaxed).saturating_sub(age);
        while self.retire_oldest(|segment| segment.newest <= horizon)? {}
        while self.disk_bytes() + self.charged_bytes() > self.settings.disk_budget
            && self.retire_oldest(|_| true)?
        {}
        Ok(())
    }

    /// Retires segments until `bytes` more fit into the budget, or a spare came of it.
    ///
    /// # Errors
    /// Those of the storage.
    pub(crate) fn make_room_for(&self, bytes: u64) -> Result<bool, FileError> {
        while self.spares.lock().is_empty()
            && self.disk_bytes() + self.charged_bytes() + bytes > self.settings.disk_budget
        {
            if !self.retire_oldest(|_| true)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Retires the oldest segment, if it may go and `wanted` agrees. Its file is used again for
    /// the next segment where one is needed: that spares writing the zeros.
    fn retire_oldest(&self, wanted: impl Fn(&SegmentInfo) -> bool) -> Result<bool, FileError> {
        self.finish_retiring(false)?;
        if !self.detach_oldest(wanted) {
            return Ok(false);
        }
        self.counters.retired.fetch_add(1, Ordering::Relaxed);
        self.finish_retiring(true)?;
        Ok(true)
    }

    /// Removes the file of the detached segment. Strictly one at a time, each made durable: a
    /// crash must not bring back an older segment without a newer one.
    fn finish_retiring(&self, reuse: bool) -> Result<(), FileError> {
        let Some(segment) = self.log.lock().leaving else {
            return Ok(());
        };
        let path = segment_path(&self.dir, segment.base);
        let fits = segment.bytes == self.settings.segment_bytes;
        if reuse && fits && self.spares.lock().is_empty() {
            let file = self.storage.open(&path).at("open", &path)?;
            let dir = (self.dir.as_path(), self.opened_dir.as_ref());
            let spare = name_spare(self.storage.as_ref(), dir, &path, file)?;
            self.spares.lock().push_back(spare);
        } else {
            match self.storage.remove(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => result.at("remove", &path)?,
            }
            self.opened_dir.sync().at("sync", &self.dir)?;
        }
        self.log.lock().leaving = None;
        Ok(())
    }

    fn detach_oldest(&self, wanted: impl Fn(&SegmentInfo) -> bool) -> bool {
        let mut log = self.log.lock();
        let mut cursors = self.cursors.lock();
        let Some(segment) = log.segments.front().copied() else {
            return false;
        };
        let Some(end) = segment.end else { return false };
        // Saved positions count, not those in memory: after a crash only these are known.
        let needed = cursors
            .lowest_saved_required()
            .is_some_and(|lowest| lowest < end);
        if needed || !wanted(&segment) {
            return false;
        }
        log.leaving = log.segments.pop_front();
        cursors.move_forward(log.oldest());
        true
    }
}
