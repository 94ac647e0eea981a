//! Reads the batches and frames of one segment file in order, in large chunks. Says where it
//! stopped making sense, not what that means: a torn tail and corruption look the same here.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;

use crate::frame::{BATCH_HEADER_BYTES, BatchHeader, FRAME_HEADER_BYTES, FrameHeader, Kind};
use crate::segment::HEADER_BLOCK_BYTES;
use crate::storage::{StorageFile, read_full};

/// How much one read asks for.
const CHUNK_BYTES: usize = 512 << 10;

#[derive(Debug)]
pub(crate) struct Walker {
    file: Arc<dyn StorageFile>,
    salt: u64,
    /// File position of `buffer[0]`.
    start: u64,
    buffer: Vec<u8>,
    /// Bytes of `buffer` already consumed.
    used: usize,
    /// No byte at or past this is looked at.
    limit: u64,
    next: u64,
    batch: BatchHeader,
    batch_start: u64,
    frames_left: u32,
    durable: u64,
    durable_position: u64,
}

/// What stands at the walker's position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// An intact frame; the payload is [`Walker::bytes`] of the range, until the next step.
    Frame {
        sequence: u64,
        decided_at: i64,
        kind: Kind,
        payload: Range<usize>,
    },
    /// A batch without frames.
    Mark,
    /// Less than a batch header before the limit.
    End,
    /// Neither: zeros, old content, a torn write or damage.
    Unreadable,
}

impl Walker {
    /// Starts at the first batch of a segment whose first offset is `base`.
    pub(crate) fn new(file: Arc<dyn StorageFile>, salt: u64, base: u64, limit: u64) -> Self {
        Self {
            file,
            salt,
            start: HEADER_BLOCK_BYTES,
            buffer: Vec::new(),
            used: 0,
            limit,
            next: base,
            batch: BatchHeader {
                first: base,
                durable: 0,
                frames: 0,
                bytes: 0,
            },
            batch_start: HEADER_BLOCK_BYTES,
            frames_left: 0,
            durable: 0,
            durable_position: HEADER_BLOCK_BYTES,
        }
    }

    /// The offset of the next frame.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Where the next byte is taken from.
    pub(crate) fn position(&self) -> u64 {
        self.start + self.used as u64
    }

    /// Where the batch begins that is being read, or that cannot be read.
    pub(crate) fn batch_start(&self) -> u64 {
        self.batch_start
    }

    /// Whether the last batch was read to its end.
    pub(crate) fn at_boundary(&self) -> bool {
        self.frames_left == 0
    }

    /// The highest durable mark seen.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// All bytes before this belong to offsets below the highest durable mark.
    pub(crate) fn durable_position(&self) -> u64 {
        self.durable_position
    }

    /// Lets the walker go up to `limit`; it never goes back.
    pub(crate) fn extend(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Reads the next thing, jumping over batches that end at or below `from`.
    ///
    /// # Errors
    /// Those of the storage. The walker can be used again.
    pub(crate) fn step(&mut self, from: u64) -> io::Result<Step> {
        while self.frames_left == 0 {
            self.batch_start = self.position();
            match self.enter()? {
                None => {}
                Some(step) => return Ok(step),
            }
            if self.batch.frames == 0 {
                return Ok(Step::Mark);
            }
            if self.batch.end() <= from {
                self.jump(u64::from(self.batch.bytes));
                self.next = self.batch.end();
                self.frames_left = 0;
            }
        }
        self.frame()
    }

    /// Reads a batch header; `None` when the walker stands on its first frame.
    fn enter(&mut self) -> io::Result<Option<Step>> {
        if !self.have(BATCH_HEADER_BYTES)? {
            return Ok(Some(Step::End));
        }
        let Some(batch) = BatchHeader::decode(&self.buffer[self.used..], self.salt) else {
            return Ok(Some(Step::Unreadable));
        };
        let end = self.position() + BATCH_HEADER_BYTES as u64 + u64::from(batch.bytes);
        let room = u64::from(batch.bytes) >= u64::from(batch.frames) * FRAME_HEADER_BYTES as u64;
        if batch.first != self.next || end > self.limit || !room {
            return Ok(Some(Step::Unreadable));
        }
        self.durable = self.durable.max(batch.durable);
        if batch.durable >= batch.first {
            self.durable_position = self.position();
        }
        self.used += BATCH_HEADER_BYTES;
        self.batch = batch;
        self.frames_left = batch.frames;
        Ok(None)
    }

    fn frame(&mut self) -> io::Result<Step> {
        let end = self.batch_start + BATCH_HEADER_BYTES as u64 + u64::from(self.batch.bytes);
        let left = usize::try_from(end.saturating_sub(self.position())).unwrap_or(usize::MAX);
        if left < FRAME_HEADER_BYTES || !self.have(FRAME_HEADER_BYTES)? {
            return Ok(Step::Unreadable);
        }
        let Some(header) = FrameHeader::decode(&self.buffer[self.used..]) else {
            return Ok(Step::Unreadable);
        };
        let length = FRAME_HEADER_BYTES + header.payload_bytes as usize;
        if header.sequence != self.next || length > left || !self.have(length)? {
            return Ok(Step::Unreadable);
        }
        let range = self.used..self.used + length;
        let Some(kind) = header.verify(&self.buffer[range.clone()], self.salt) else {
            return Ok(Step::Unreadable);
        };
        if self.frames_left == 1 && length != left {
            return Ok(Step::Unreadable);
        }
        self.used = range.end;
        self.frames_left -= 1;
        self.next += 1;
        let payload = range.start + FRAME_HEADER_BYTES..range.end;
        Ok(Step::Frame {
            sequence: header.sequence,
            decided_at: header.decided_at,
            kind,
            payload,
        })
    }

    fn jump(&mut self, bytes: u64) {
        let target = self.position() + bytes;
        let inside = usize::try_from(target - self.start)
            .ok()
            .filter(|&at| at <= self.buffer.len());
        match inside {
            Some(at) => self.used = at,
            None => {
                self.buffer.clear();
                self.used = 0;
                self.start = target;
            }
        }
    }

    /// Makes `need` bytes available from `used` on; false when the limit or the file ends before.
    fn have(&mut self, need: usize) -> io::Result<bool> {
        if self.buffer.len() - self.used >= need {
            return Ok(true);
        }
        let position = self.position();
        if position + need as u64 > self.limit {
            return Ok(false);
        }
        self.buffer.drain(..self.used);
        self.start = position;
        self.used = 0;
        let most = usize::try_from(self.limit - position).unwrap_or(usize::MAX);
        let kept = self.buffer.len();
        self.buffer.resize(CHUNK_BYTES.max(need).min(most), 0);
        let read = read_full(
            self.file.as_ref(),
            &mut self.buffer[kept..],
            position + kept as u64,
        );
        self.buffer
            .truncate(kept + read.as_ref().map_or(0, |read| *read));
        read?;
        Ok(self.buffer.len() >= need)
    }
}

/// Searches from `position` for intact batch headers, and returns the highest durable mark and
/// the highest offset one of them promises. Used only where reading in order has stopped.
///
/// # Errors
/// Those of the storage.
pub(crate) fn marks_from(
    file: &dyn StorageFile,
    salt: u64,
    position: u64,
) -> io::Result<(u64, u64)> {
    let (mut durable, mut end) = (0, 0);
    let magic = BatchHeader::magic();
    let magic = memmem::Finder::new(&magic);
    let mut buffer = vec![0; CHUNK_BYTES + BATCH_HEADER_BYTES];
    let mut start = position;
    loop {
        let read = read_full(file, &mut buffer, start)?;
        for at in magic.find_iter(&buffer[..read]) {
            // One that begins in the last bytes is found in the next chunk.
            if let Some(batch) = BatchHeader::decode(&buffer[at..read], salt) {
                durable = durable.max(batch.durable);
                end = end.max(batch.end());
            }
        }
        if read < buffer.len() {
            return Ok((durable, end));
        }
        start += CHUNK_BYTES as u64;
    }
}
