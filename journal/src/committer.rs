//! One batch, one write, one fdatasync. The step is called by a thread, or by a simulation.
//!
//! A failed write or sync is never retried: after a failed fsync the kernel may have dropped the
//! dirty pages, and a second one that succeeds proves nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_event::Pulse;

use crate::core::Core;
use crate::error::{At, FileError};
use crate::frame::{BATCH_HEADER_BYTES, BatchHeader, Kind, push_frame};
use crate::log::{SegmentInfo, segment_path};
use crate::queue::{Nothing, Purpose, Taken};
use crate::segment::{HEADER_BLOCK_BYTES, SegmentHeader};
use crate::storage::{DIRECT_BYTES, StorageFile};

/// After this long without a record the durable mark is written down, so that a reader in
/// another process sees the last records too.
const IDLE_MARK: Duration = Duration::from_millis(5);
/// How long a stop waits for tickets that are taken and not yet filled.
const STOP_PATIENCE: Duration = Duration::from_secs(1);
/// A write buffer that grew past this for one large record is given back.
const BUFFER_KEPT_BYTES: usize = 8 << 20;

/// The active segment, as only the committer sees it.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) base: u64,
    pub(crate) salt: u64,
    pub(crate) bytes: u64,
    pub(crate) position: u64,
    /// The durable mark last written down.
    pub(crate) marked: u64,
    /// `decided_at` of the segment's first record; `None` while it is empty.
    pub(crate) began_at: Option<i64>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) batch: Vec<Taken>,
}

/// What a commit step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A batch is durable.
    Committed,
    /// No filled record is next.
    Idle,
    /// The next record needs a segment that is not prepared yet.
    Waiting,
    /// The journal has failed or is shut down.
    Ended,
}

impl Core {
    /// Commits one batch.
    pub(crate) fn commit_step(&self) -> Step {
        if self.ended() {
            return Step::Ended;
        }
        let mut writer = self.writer.lock();
        loop {
            let most = self.settings.batch_bytes_max as u64;
            let taken = self.queue.lock().take_batch(&mut writer.batch, most);
            let result = match taken {
                Ok(first) => self
                    .write_batch(&mut writer, first)
                    .map(|()| Step::Committed),
                Err(Nothing::Idle) => return Step::Idle,
                Err(Nothing::SegmentFull) => match self.roll(&mut writer) {
                    Ok(true) => continue,
                    Ok(false) => return Step::Waiting,
                    Err(error) => Err(error),
                },
            };
            return result.unwrap_or_else(|error| {
                self.fail(error);
                Step::Ended
            });
        }
    }

    fn write_batch(&self, writer: &mut Writer, first: u64) -> Result<(), FileError> {
        let mut buffer = std::mem::take(&mut writer.buffer);
        buffer.clear();
        buffer.resize(BATCH_HEADER_BYTES, 0);
        let mut next = first;
        let began_at = writer.batch.first().map(|(decided_at, _)| *decided_at);
        writer.began_at = writer.began_at.or(began_at);
        for (decided_at, payload) in writer.batch.drain(..) {
            let content = payload
                .as_ref()
                .map_or((Kind::Void, &[][..]), |p| (Kind::Record, p));
            push_frame(&mut buffer, writer.salt, next, decided_at, content);
            next += 1;
        }
        let bytes = u32::try_from(buffer.len() - BATCH_HEADER_BYTES).expect("below a segment");
        let frames = u32::try_from(next - first).expect("below a segment");
        let header = BatchHeader {
            first,
            durable: first,
            frames,
            bytes,
        };
        buffer[..BATCH_HEADER_BYTES].copy_from_slice(&header.encode(writer.salt));
        let path = segment_path(&self.dir, writer.base);
        let end = writer.position + buffer.len() as u64;
        // A block that is written in part and not in the cache would first be read from the disk.
        let whole = end.next_multiple_of(DIRECT_BYTES as u64).min(writer.bytes);
        let padding = usize::try_from(whole - end).expect("below a block");
        buffer.resize(buffer.len() + padding, 0);
        writer
            .file
            .write_at(&buffer, writer.position)
            .at("write", &path)?;
        let started = self.storage.monotonic_us();
        self.sync(writer).at("sync", &path)?;
        let sync_us = self.storage.monotonic_us().saturating_sub(started);
        let written = end - writer.position;
        writer.position = end;
        writer.marked = first;
        self.counters.batch(next - first, written, sync_us);
        if buffer.capacity() <= BUFFER_KEPT_BYTES {
            writer.buffer = buffer;
        }
        self.publish(writer, next);
        Ok(())
    }

    fn sync(&self, writer: &Writer) -> std::io::Result<()> {
        #[cfg(test)]
        if self.skip_sync.load(Ordering::Relaxed) {
            return Ok(());
        }
        // The mutant that the trace of system calls has to find out.
        if cfg!(feature = "mutant-without-sync") {
            return Ok(());
        }
        writer.file.sync_data()
    }

    fn publish(&self, writer: &Writer, durable: u64) {
        self.log.lock().tail = writer.position;
        self.durable.store(durable, Ordering::Release);
        self.queue.lock().writing = 0;
        self.waiters.wake_below(durable);
        self.room.wake_all();
    }

    /// Starts the next segment; false when none is prepared. Header and name are durable before
    /// the first record is written, so a segment without a sound header is always damage.
    pub(crate) fn roll(&self, writer: &mut Writer) -> Result<bool, FileError> {
        let Some(spare) = self.spares.lock().pop_front() else {
            return Ok(false);
        };
        let base = self.durable();
        let newest = self.queue.lock().last_decided_at();
        let header = SegmentHeader {
            journal: self.journal,
            shard: 0,
            base,
            previous_end: base,
            decided_at: newest,
            salt: spare.salt,
        };
        let path = segment_path(&self.dir, base);
        spare
            .file
            .write_at(&header.encode(), 0)
            .at("write", &spare.path)?;
        spare.file.sync_data().at("sync", &spare.path)?;
        self.storage
            .rename(&spare.path, &path)
            .at("rename", &spare.path)?;
        self.opened_dir.sync().at("sync", &self.dir)?;
        writer.file = spare.file;
        writer.base = base;
        writer.salt = spare.salt;
        writer.bytes = spare.bytes;
        writer.position = HEADER_BLOCK_BYTES;
        writer.began_at = None;
        let info = SegmentInfo {
            base,
            salt: spare.salt,
            bytes: spare.bytes,
            end: None,
            newest: i64::MAX,
        };
        self.log.lock().roll(info, newest, HEADER_BLOCK_BYTES);
        self.count_room(Some(spare.bytes - HEADER_BLOCK_BYTES), None);
        self.ring_preparer();
        Ok(true)
    }

    /// Writes the durable mark down, when records were committed since the last one and nothing
    /// promised needs the space. Not synced: losing it loses nothing.
    pub(crate) fn mark_step(&self) {
        let mut writer = self.writer.lock();
        let durable = self.durable();
        if self.ended() || writer.marked == durable {
            return;
        }
        let bytes = BATCH_HEADER_BYTES as u64;
        {
            let mut queue = self.queue.lock();
            if queue.active_left < bytes || !queue.disk_has(Purpose::Hit, bytes) {
                return;
            }
            queue.active_left -= bytes;
        }
        let header = BatchHeader {
            first: durable,
            durable,
            frames: 0,
            bytes: 0,
        };
        let path = segment_path(&self.dir, writer.base);
        let written = writer
            .file
            .write_at(&header.encode(writer.salt), writer.position);
        match written.at("write", &path) {
            Ok(()) => {
                writer.marked = durable;
                writer.position += bytes;
                self.log.lock().tail = writer.position;
            }
            Err(error) => {
                drop(writer);
                self.fail(error);
            }
        }
    }

    /// The committer thread.
    pub(crate) fn commit_until_closed(&self, pulse: &Pulse) {
        loop {
            pulse.beat();
            // Where workers share this core they first fill what they have: fewer, larger batches.
            std::thread::yield_now();
            match self.commit_step() {
                Step::Committed => {}
                Step::Ended => return,
                Step::Waiting => {
                    if self.queue.lock().closed {
                        break;
                    }
                    self.sleep(IDLE_MARK);
                }
                Step::Idle => {
                    if self.sleep_until_ready(pulse) {
                        break;
                    }
                }
            }
        }
        self.mark_step();
        self.stop();
    }

    fn sleep(&self, duration: Duration) {
        let mut queue = self.queue.lock();
        self.work.wait_for(&mut queue, duration);
    }

    /// Sleeps until a record is next; true when the journal is closed and there is nothing left.
    fn sleep_until_ready(&self, pulse: &Pulse) -> bool {
        let mut queue = self.queue.lock();
        let mut patience = STOP_PATIENCE;
        let mut marked = false;
        while !queue.ready() {
            if queue.closed && (queue.is_empty() || patience.is_zero()) {
                return true;
            }
            queue.idle = true;
            if queue.closed {
                self.work.wait_for(&mut queue, IDLE_MARK);
                patience = patience.saturating_sub(IDLE_MARK);
            } else if marked {
                pulse.idle();
                self.work.wait(&mut queue);
                pulse.beat();
            } else if self.work.wait_for(&mut queue, IDLE_MARK).timed_out() {
                marked = true;
                drop(queue);
                self.mark_step();
                queue = self.queue.lock();
            }
        }
        queue.idle = false;
        false
    }
}
