//! The open journal: the handle that everyone else holds.

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tidegate_event::{Pulse, Pulses, Timestamp};

use crate::committer::{Step, Writer};
use crate::core::{Chores, Core};
use crate::cursor::{Cursor, CursorClass, CursorInfo};
use crate::error::{At, CursorError, Fatal, FileError, Full, OpenError, ReadError};
use crate::log::Log;
use crate::queue::{Purpose, Queue};
use crate::reader::Reader;
use crate::recovery::{Recovered, recover};
use crate::segment::id_text;
use crate::settings::Settings;
use crate::stats::{Counters, Stats};
use crate::storage::{LockError, LockGuard, Storage, StorageDir};
use crate::ticket::{Reservation, ReserveWait};
use crate::trouble::Trouble;
use crate::wait::{OnFatal, WaitDurable, WaitPast};
use crate::waiters::Waiters;

/// Thread, part, and how long it may work without a beat in milliseconds: one write and one
/// fdatasync.
const COMMITTER: (&str, &str, u64) = ("tidegate-commit", "journal-committer", 30_000);
/// As above: writes a whole segment, on a slow disk.
const PREPARER: (&str, &str, u64) = ("tidegate-prepare", "journal-preparer", 120_000);

/// An open journal. Clones share it; when the last one goes it is shut down.
#[derive(Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Journal {
    /// Locks `dir`, recovers what it holds (or begins a journal there) and starts the committer.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        dir: &Path,
        storage: Arc<dyn Storage>,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let journal = Self::open_stepped(dir, storage, settings)?;
        // What was recovered is synced: other processes may see it from now on.
        journal.core().mark_step();
        journal.start(COMMITTER, dir, Core::commit_until_closed)?;
        journal.start(PREPARER, dir, Core::prepare_until_stopped)?;
        Ok(journal)
    }

    /// As [`Journal::open`], but no thread is started: the caller drives the journal with
    /// [`Journal::commit_step`] and [`Journal::prepare_step`]. For deterministic tests.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_stepped(
        dir: &Path,
        storage: Arc<dyn Storage>,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        settings.check()?;
        storage.create_dir(dir).at("create", dir)?;
        let lock = lock_dir(storage.as_ref(), dir)?;
        let segments_dir = crate::journal_dir(dir);
        storage
            .create_dir(&segments_dir)
            .at("create", &segments_dir)?;
        let recovered = recover(storage.as_ref(), dir, &segments_dir, &settings)?;
        let opened_dir = storage.open_dir(&segments_dir).at("open", &segments_dir)?;
        let core = assemble((dir, opened_dir), storage, settings, recovered, lock);
        core.count_room(None, None);
        let handle = Handle {
            core: Arc::new(core),
            threads: Mutex::default(),
        };
        Ok(Self {
            handle: Arc::new(handle),
        })
    }

    fn start(
        &self,
        (name, part, bound_ms): (&str, &str, u64),
        dir: &Path,
        body: fn(&Core, &Pulse),
    ) -> Result<(), OpenError> {
        let core = self.handle.core.clone();
        // It ends when it is shut down or the disk failed: that is reported by other means.
        let pulse = core.pulses.register_temporary(part, bound_ms);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || body(&core, &pulse));
        self.handle
            .threads
            .lock()
            .push(thread.at("start the committer of", dir)?);
        Ok(())
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// The journal's id: hyphenated UUID, minted with the data directory.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.core().id
    }

    /// Promises room for `records` records of `bytes` payload bytes in all.
    ///
    /// # Errors
    /// [`Full`]; nothing was touched.
    pub fn reserve(&self, bytes: usize, records: usize) -> Result<Reservation, Full> {
        self.reserve_for(Purpose::Hit, bytes, records)
    }

    /// As [`Journal::reserve`]; what is no hit may use the headroom, see [`Purpose`].
    ///
    /// # Errors
    /// [`Full`]; nothing was touched.
    pub fn reserve_for(
        &self,
        purpose: Purpose,
        bytes: usize,
        records: usize,
    ) -> Result<Reservation, Full> {
        Reservation::take(self.core(), purpose, bytes, records)
    }

    /// As [`Journal::reserve`], waiting until there is room. What can never fit waits for ever.
    #[must_use]
    pub fn reserve_wait(&self, bytes: usize, records: usize) -> ReserveWait {
        self.reserve_wait_for(Purpose::Hit, bytes, records)
    }

    /// As [`Journal::reserve_wait`]; what is no hit may use the headroom, see [`Purpose`].
    #[must_use]
    pub fn reserve_wait_for(&self, purpose: Purpose, bytes: usize, records: usize) -> ReserveWait {
        ReserveWait {
            core: self.core().clone(),
            purpose,
            bytes,
            records,
            place: None,
        }
    }

    /// Every offset below is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.core().durable()
    }

    /// The next offset a ticket will take.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.core().queue.lock().next()
    }

    /// The `decided_at` of the newest offset taken; the time at which the fold goes on.
    #[must_use]
    pub fn decided_at(&self) -> Timestamp {
        Timestamp(self.core().queue.lock().last_decided_at())
    }

    /// Resolves once `offset` is durable, or with the reason why it never will be.
    #[must_use]
    pub fn wait_durable(&self, offset: u64) -> WaitDurable {
        WaitDurable::new(self.core().clone(), offset)
    }

    /// Resolves when an offset above `offset - 1` is durable, that is when `durable() > offset`,
    /// and when the journal ends.
    #[must_use]
    pub fn wait_past(&self, offset: u64) -> WaitPast {
        WaitPast::new(self.core().clone(), offset)
    }

    /// Resolves with the error once a write or sync has failed; the journal is of no further use.
    #[must_use]
    pub fn on_fatal(&self) -> OnFatal {
        OnFatal::new(self.core().clone())
    }

    /// The error that ended the journal, if one did.
    #[must_use]
    pub fn failure(&self) -> Option<Fatal> {
        self.core().failure()
    }

    /// Housekeeping that fails now, each with its cause. It is retried each second.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let core = self.core();
        let troubles = [core.saving.say(), core.preparing.say()];
        troubles.into_iter().flatten().collect()
    }

    /// A sequential reader of the records from `from` on.
    ///
    /// # Errors
    /// [`ReadError::Retired`], with the oldest offset kept.
    pub fn reader(&self, from: u64) -> Result<Reader, ReadError> {
        Reader::live(self.core().clone(), from)
    }

    /// The cursor of this name, at its saved position; a new one starts at the oldest offset
    /// (an ephemeral one at the watermark).
    ///
    /// # Errors
    /// [`CursorError::Name`] or [`CursorError::TooMany`].
    pub fn cursor(&self, name: &str, class: CursorClass) -> Result<Cursor, CursorError> {
        self.core().attach_cursor(name, class)
    }

    /// All cursors, by name.
    #[must_use]
    pub fn cursors(&self) -> Vec<CursorInfo> {
        let durable = self.core().durable();
        self.core().cursors.lock().infos(durable)
    }

    /// Forgets a cursor without an open handle. It no longer holds segments.
    ///
    /// # Errors
    /// [`CursorError::Unknown`], [`CursorError::InUse`], or those of the storage.
    pub fn drop_cursor(&self, name: &str) -> Result<(), CursorError> {
        let mut cursors = self.core().cursors.lock();
        if cursors.is_in_use(name) {
            return Err(CursorError::InUse);
        }
        if !cursors.remove(name) {
            return Err(CursorError::Unknown);
        }
        drop(cursors);
        self.core().save_cursors()?;
        self.core().ring_preparer();
        Ok(())
    }

    /// Saves the positions of all cursors now, if any has changed; they are saved each second anyway.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn save_cursors(&self) -> Result<(), FileError> {
        self.core().save_cursors()
    }

    /// The oldest offset kept.
    #[must_use]
    pub fn oldest_offset(&self) -> u64 {
        self.core().log.lock().oldest()
    }

    /// Sets how many bytes the user `name` (outbox, dead letters, bad rows) has on disk; they
    /// count in `disk_budget`.
    pub fn charge(&self, name: &str, bytes: u64) {
        self.core().charges.lock().insert(name.to_owned(), bytes);
    }

    /// Tells the time, by which retention reckons.
    pub fn observe_time(&self, now: Timestamp) {
        self.core().now.fetch_max(now.0, Ordering::Relaxed);
    }

    /// The pulses of its threads.
    #[must_use]
    pub fn pulses(&self) -> Pulses {
        self.core().pulses.clone()
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Commits one batch. For journals opened with [`Journal::open_stepped`].
    pub fn commit_step(&self) -> Step {
        self.core().commit_step()
    }

    /// Writes the durable mark down, as the committer does when it is idle.
    pub fn mark_step(&self) {
        self.core().mark_step();
    }

    /// Prepares segments, saves cursors, retires. For journals opened with
    /// [`Journal::open_stepped`].
    pub fn prepare_step(&self) {
        self.core().prepare_step();
    }

    /// Takes no more reservations, commits what is filled, saves the cursors, ends the threads
    /// and releases the lock. Doing it again does nothing.
    pub fn shutdown(&self) {
        self.handle.shutdown();
    }

    #[cfg(test)]
    pub(crate) fn skip_sync(&self) {
        self.core().skip_sync.store(true, Ordering::Relaxed);
    }
}

impl Handle {
    fn shutdown(&self) {
        let core = &self.core;
        core.queue.lock().closed = true;
        core.work.notify_all();
        core.room.wake_all();
        core.chores.lock().stop = true;
        core.chore.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A task that is woken by the committer may own the last handle.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
        if core.lock.lock().is_some() {
            while core.commit_step() == Step::Committed {}
            core.mark_step();
            if core.save_cursors().is_err() {
                core.counters
                    .cursor_failures
                    .fetch_add(1, Ordering::Relaxed);
            }
        }
        core.stop();
        core.lock.lock().take();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// Takes the exclusive lock of a data directory.
///
/// # Errors
/// [`OpenError::Locked`] with the holder's process id, or those of the storage.
pub(crate) fn lock_dir(storage: &dyn Storage, dir: &Path) -> Result<Box<dyn LockGuard>, OpenError> {
    let path = dir.join(crate::LOCK_FILE);
    storage.lock(&path).map_err(|error| match error {
        LockError::Held { pid } => OpenError::Locked {
            dir: dir.to_owned(),
            pid,
        },
        LockError::Io(error) => match Err::<(), _>(error).at("lock", &path) {
            Err(error) => OpenError::Io(error),
            Ok(()) => OpenError::Locked {
                dir: dir.to_owned(),
                pid: None,
            },
        },
    })
}

fn assemble(
    (dir, opened_dir): (&Path, Arc<dyn StorageDir>),
    storage: Arc<dyn Storage>,
    settings: Settings,
    recovered: Recovered,
    lock: Box<dyn LockGuard>,
) -> Core {
    let Recovered {
        segments,
        active,
        tail,
        spares,
        cursors,
    } = recovered;
    let segments_dir = crate::journal_dir(dir);
    let charges = Mutex::new(settings.charges.clone());
    let mut queue = Queue::new(tail.next, tail.decided_at, &settings);
    queue.active_left = active.bytes.saturating_sub(tail.position);
    let writer = Writer {
        file: active.file,
        base: active.header.base,
        salt: active.header.salt,
        bytes: active.bytes,
        position: tail.position,
        marked: tail.marked,
        began_at: tail.began_at,
        buffer: Vec::new(),
        batch: Vec::new(),
    };
    Core {
        storage,
        dir: segments_dir,
        opened_dir,
        data_dir: dir.to_owned(),
        settings,
        journal: active.header.journal,
        id: id_text(active.header.journal),
        writer: Mutex::new(writer),
        queue: Mutex::new(queue),
        work: Condvar::new(),
        log: Mutex::new(Log::new(segments, tail.position)),
        cursors: Mutex::new(cursors),
        cursor_file: Mutex::default(),
        spares: Mutex::new(spares.into()),
        charges,
        durable: tail.next.into(),
        now: tail.decided_at.into(),
        waiters: Waiters::default(),
        room: Waiters::default(),
        failed: OnceLock::new(),
        stopped: false.into(),
        chores: Mutex::new(Chores::default()),
        chore: Condvar::new(),
        counters: Counters::default(),
        saving: Trouble::new("cursor positions cannot be saved, so no segment can be retired"),
        preparing: Trouble::new("the next segment cannot be prepared"),
        pulses: Pulses::default(),
        lock: Mutex::new(Some(lock)),
        #[cfg(test)]
        skip_sync: false.into(),
    }
}
