//! What every handle of an open journal shares, and which lock guards what.
//!
//! Locks are taken in this order and held for memory work only, except `writer`, which the
//! committer alone holds while it writes: `writer`, `spares`,
//! `queue`, `log`, `cursors`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};
use tidegate_event::Pulses;

use crate::committer::Writer;
use crate::cursor::CursorTable;
use crate::error::{Fatal, FileError};
use crate::log::Log;
use crate::preparer::Spare;
use crate::queue::Queue;
use crate::settings::Settings;
use crate::stats::{Counters, Stats};
use crate::storage::{LockGuard, Storage, StorageDir};
use crate::trouble::Trouble;
use crate::waiters::Waiters;

pub(crate) struct Core {
    pub(crate) storage: Arc<dyn Storage>,
    /// Where the segments are.
    pub(crate) dir: PathBuf,
    /// The same, open: a process with no descriptor left can still roll to its next segment.
    pub(crate) opened_dir: Arc<dyn StorageDir>,
    /// Where the cursor file is.
    pub(crate) data_dir: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) journal: u128,
    pub(crate) id: String,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) queue: Mutex<Queue>,
    /// With `queue`: the committer's bell.
    pub(crate) work: Condvar,
    pub(crate) log: Mutex<Log>,
    pub(crate) cursors: Mutex<CursorTable>,
    /// Held while the cursor file is replaced.
    pub(crate) cursor_file: Mutex<()>,
    pub(crate) spares: Mutex<VecDeque<Spare>>,
    pub(crate) charges: Mutex<BTreeMap<String, u64>>,
    pub(crate) durable: AtomicU64,
    /// The latest time seen, for retention.
    pub(crate) now: AtomicI64,
    pub(crate) waiters: Waiters,
    pub(crate) room: Waiters,
    pub(crate) failed: OnceLock<FileError>,
    /// The committer has ended: nothing becomes durable any more.
    pub(crate) stopped: AtomicBool,
    /// Whether the preparer shall look at once; with `chore`: its bell.
    pub(crate) chores: Mutex<Chores>,
    pub(crate) chore: Condvar,
    pub(crate) counters: Counters,
    pub(crate) saving: Trouble,
    pub(crate) preparing: Trouble,
    pub(crate) pulses: Pulses,
    pub(crate) lock: Mutex<Option<Box<dyn LockGuard>>>,
    #[cfg(test)]
    pub(crate) skip_sync: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chores {
    pub(crate) due: bool,
    pub(crate) stop: bool,
}

impl Core {
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn failure(&self) -> Option<Fatal> {
        self.failed.get().cloned().map(Fatal::Io)
    }

    /// Why nothing more becomes durable.
    pub(crate) fn end(&self) -> Fatal {
        self.failure().unwrap_or(Fatal::Closed)
    }

    pub(crate) fn ended(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// After this no offset is ever announced as durable again.
    pub(crate) fn fail(&self, error: FileError) {
        let _ = self.failed.set(error);
        self.stop();
    }

    pub(crate) fn stop(&self) {
        self.queue.lock().closed = true;
        self.stopped.store(true, Ordering::Release);
        self.waiters.wake_all();
        self.room.wake_all();
    }

    pub(crate) fn ring_preparer(&self) {
        self.chores.lock().due = true;
        self.chore.notify_one();
    }

    /// Bytes on disk that the budget bounds.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let spares: u64 = self.spares.lock().iter().map(|spare| spare.bytes).sum();
        self.log.lock().bytes() + spares
    }

    pub(crate) fn charged_bytes(&self) -> u64 {
        self.charges.lock().values().sum()
    }

    pub(crate) fn stats(&self) -> Stats {
        let oldest = self.log.lock().oldest();
        let mut stats = Stats {
            durable: self.durable(),
            oldest,
            disk_bytes: self.disk_bytes(),
            charged_bytes: self.charged_bytes(),
            ..Stats::default()
        };
        let (lowest, saved) = {
            let cursors = self.cursors.lock();
            (cursors.lowest_required(), cursors.lowest_saved_required())
        };
        stats.held_bytes = match saved {
            Some(saved) if saved < stats.durable => self.log.lock().bytes_from(saved),
            Some(_) | None => 0,
        };
        stats.depth = stats
            .durable
            .saturating_sub(lowest.unwrap_or(stats.durable));
        let queue = self.queue.lock();
        stats.next = queue.next();
        stats.reserved_bytes = queue.reserved_bytes();
        stats.unwritten_bytes = queue.memory_bytes() - queue.reserved_bytes();
        drop(queue);
        self.counters.read(&mut stats);
        stats
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
