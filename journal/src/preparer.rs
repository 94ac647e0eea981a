//! Work that must not stand in the way of a commit: the next segment, saved cursor positions,
//! retired segments. The step is called by a thread, or by a simulation.
//!
//! Nothing here is fatal. A segment that cannot be prepared makes [`crate::Journal::reserve`]
//! answer [`Full`](crate::Full) once the room left is promised; the next try is a second later.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_event::Pulse;

use crate::core::Core;
use crate::error::{At, FileError, FullReason};
use crate::log::segment_path;
use crate::segment::HEADER_BLOCK_BYTES;
use crate::storage::{DIRECT_BYTES, Storage, StorageDir, StorageFile};

/// How often the preparer looks without being rung: the lag of saved cursors, and how soon a
/// full disk is tried again.
const PERIOD: Duration = Duration::from_secs(1);
/// Segments kept ready beyond the active one.
const SPARES: usize = 1;
/// One zero-filling write, and how much is written between two syncs: a commit in between waits
/// for little.
const FILL_BYTES: usize = 256 << 10;
const FILL_SYNC_BYTES: u64 = 4 << 20;

const FILLING: &str = "filling.tmp";

/// A segment file without a header yet, all its blocks written and durable.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) salt: u64,
}

impl Core {
    /// One round of housekeeping.
    pub(crate) fn prepare_step(&self) {
        if self.failed.get().is_some() {
            return;
        }
        let saved = self.save_cursors();
        if saved.is_err() {
            self.counters
                .cursor_failures
                .fetch_add(1, Ordering::Relaxed);
        }
        self.saving.note(saved);
        self.cool();
        let prepared = self.retire().and_then(|()| self.prepare());
        let shortage = match &prepared {
            Ok(shortage) => *shortage,
            Err(_) => {
                self.counters
                    .prepare_failures
                    .fetch_add(1, Ordering::Relaxed);
                FullReason::Disk
            }
        };
        self.preparing.note(prepared.map(drop));
        self.count_room(None, Some(shortage));
        self.close_old();
        self.work.notify_one();
        self.room.wake_all();
    }

    /// Gives the memory of segments without a reader to the next ones: pages that were just
    /// freed cost less than ones the machine has never touched.
    fn cool(&self) {
        loop {
            let Some(base) = self.log.lock().next_cold() else {
                return;
            };
            let path = segment_path(&self.dir, base);
            // A hint: where it fails nothing is lost.
            let _ = self.storage.open_read(&path).and_then(|f| f.uncache());
        }
    }

    /// Tells admission how much the prepared segments can take: each all but the waste at its
    /// end, which is less than one largest record.
    pub(crate) fn count_room(&self, active_left: Option<u64>, shortage: Option<FullReason>) {
        let spares = self.spares.lock();
        let waste = HEADER_BLOCK_BYTES + self.settings.record_cost_max();
        let prepared = spares
            .iter()
            .map(|spare| spare.bytes.saturating_sub(waste))
            .sum();
        let mut queue = self.queue.lock();
        queue.prepared = prepared;
        queue.active_left = active_left.unwrap_or(queue.active_left);
        queue.shortage = shortage.unwrap_or(queue.shortage);
    }

    /// Readies the next segment, unless the budget forbids it.
    fn prepare(&self) -> Result<FullReason, FileError> {
        while self.spares.lock().len() < SPARES {
            if !self.make_room_for(self.settings.segment_bytes)? {
                return Ok(FullReason::Budget);
            }
            // Retiring may just have given one.
            if self.spares.lock().len() < SPARES {
                let spare = fill_spare(
                    self.storage.as_ref(),
                    (&self.dir, self.opened_dir.as_ref()),
                    self.settings.segment_bytes,
                    || self.chores.lock().stop,
                )?;
                match spare {
                    Some(spare) => self.spares.lock().push_back(spare),
                    None => break,
                }
            }
        }
        Ok(FullReason::Preparing)
    }

    /// The preparer thread.
    pub(crate) fn prepare_until_stopped(&self, pulse: &Pulse) {
        loop {
            pulse.beat();
            self.prepare_step();
            let mut chores = self.chores.lock();
            if !chores.due && !chores.stop {
                pulse.idle();
                self.chore.wait_for(&mut chores, PERIOD);
            }
            chores.due = false;
            if chores.stop {
                return;
            }
        }
    }
}

/// Writes a new spare in full, then gives it its name: a file named so is whole after any crash.
/// `None` when `stop` says so in between.
///
/// # Errors
/// Those of the storage; what was written is removed.
pub(crate) fn fill_spare(
    storage: &dyn Storage,
    dir: (&Path, &dyn StorageDir),
    bytes: u64,
    stop: impl Fn() -> bool,
) -> Result<Option<Spare>, FileError> {
    let path = dir.0.join(FILLING);
    let filled = zero_fill(storage, &path, bytes, stop);
    match filled {
        Ok(Some(file)) => name_spare(storage, dir, &path, file).map(Some),
        Ok(None) => {
            storage.remove(&path).at("remove", &path)?;
            Ok(None)
        }
        Err(error) => {
            // On a full disk the half-written file would keep others from writing.
            let _ = storage.remove(&path);
            Err(error)
        }
    }
}

fn zero_fill(
    storage: &dyn Storage,
    path: &Path,
    bytes: u64,
    stop: impl Fn() -> bool,
) -> Result<Option<Arc<dyn StorageFile>>, FileError> {
    // Through the cache every byte of the journal would be copied twice, and the write-back of the
    // zeros would stand in the way of commits.
    let file = storage.create_uncached(path).at("create", path)?;
    let zeros = vec![0; FILL_BYTES + DIRECT_BYTES];
    let zeros = &zeros[zeros.as_ptr().align_offset(DIRECT_BYTES)..];
    let mut position = 0;
    while position < bytes {
        if stop() {
            return Ok(None);
        }
        let length =
            usize::try_from(bytes - position).map_or(FILL_BYTES, |left| left.min(FILL_BYTES));
        file.write_at(&zeros[..length], position)
            .at("write", path)?;
        position += length as u64;
        if position % FILL_SYNC_BYTES == 0 || position == bytes {
            file.sync_data().at("sync", path)?;
        }
    }
    storage.open(path).at("open", path).map(Some)
}

/// Turns a whole, synced file into a spare, under a name no other spare has.
///
/// # Errors
/// Those of the storage.
pub(crate) fn name_spare(
    storage: &dyn Storage,
    (dir, opened): (&Path, &dyn StorageDir),
    from: &Path,
    file: Arc<dyn StorageFile>,
) -> Result<Spare, FileError> {
    let random = storage.entropy().at("read random bits for", dir)?;
    let salt = (random >> 64) as u64;
    let path = dir.join(format!("{:016x}.spare", random as u64));
    let bytes = file.len().at("measure", from)?;
    storage.rename(from, &path).at("rename", from)?;
    opened.sync().at("sync", dir)?;
    Ok(Spare {
        file,
        path,
        bytes,
        salt,
    })
}

/// Takes the spares an earlier life left that have the right size, and removes what is of no use.
///
/// # Errors
/// Those of the storage.
pub(crate) fn collect_spares(
    storage: &dyn Storage,
    dir: &Path,
    names: &[String],
    bytes: u64,
) -> Result<Vec<Spare>, FileError> {
    let mut spares = Vec::new();
    let mut removed = false;
    for name in names {
        let path = dir.join(name);
        let is_spare = name.ends_with(".spare");
        if !is_spare && name != FILLING {
            continue;
        }
        if is_spare && spares.len() < SPARES {
            let file = storage.open(&path).at("open", &path)?;
            if file.len().at("measure", &path)? == bytes {
                let salt = storage.entropy().at("read random bits for", dir)? as u64;
                spares.push(Spare {
                    file,
                    path,
                    bytes,
                    salt,
                });
                continue;
            }
        }
        storage.remove(&path).at("remove", &path)?;
        removed = true;
    }
    if removed {
        storage.sync_dir(dir).at("sync", dir)?;
    }
    Ok(spares)
}
