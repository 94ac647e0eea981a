//! Admission and order: who may append, how much room is promised, which offsets are taken.
//! Plain state behind one short mutex; does no I/O and never waits.

use std::collections::VecDeque;

use tidegate_event::Timestamp;

use crate::error::{Full, FullReason};
use crate::frame::BATCH_HEADER_BYTES;
use crate::settings::{Settings, record_cost};

/// How soon it is worth asking again when memory is short, in milliseconds.
const RETRY_BUFFER_MS: u64 = 100;
/// How soon when the disk is short: as often as the preparer tries.
const RETRY_DISK_MS: u64 = 1000;

/// What a record is for: the last bytes of a full journal are for the gateway's own records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A hit: leaves the whole headroom.
    Hit,
    /// The end of a session or a wake-up: leaves half of the headroom.
    Timer,
    /// A change of the catalog: may use all of it.
    Control,
}

#[derive(Debug)]
pub(crate) struct Queue {
    /// Offset of the first entry.
    head: u64,
    entries: VecDeque<Entry>,
    last_decided_at: i64,
    promises: Vec<Promise>,
    free: Vec<usize>,
    /// Promised to reservations, not yet filled.
    reserved: u64,
    /// Filled, not yet taken by the committer.
    unwritten: u64,
    /// Taken by the committer, not yet durable.
    pub(crate) writing: u64,
    /// Bytes left in the active segment.
    pub(crate) active_left: u64,
    /// Bytes that the prepared segments can take, each less the waste at its end.
    pub(crate) prepared: u64,
    /// Why there is no further segment; said when room runs out.
    pub(crate) shortage: FullReason,
    /// The committer sleeps and wants to be woken.
    pub(crate) idle: bool,
    /// No further reservation is given.
    pub(crate) closed: bool,
    cost_max: u64,
    buffer_max: u64,
    /// Room on disk that hits leave to the gateway's own records.
    headroom: u64,
}

#[derive(Debug)]
struct Entry {
    decided_at: i64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Pending,
    Filled(Vec<u8>),
    Void,
}

/// What one reservation may still use.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    bytes: u64,
    records: usize,
    tickets: usize,
}

/// A record as the committer takes it; no payload when the offset was never filled.
pub(crate) type Taken = (i64, Option<Vec<u8>>);

/// Why the committer got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// No filled record is next.
    Idle,
    /// The next record does not fit into the active segment.
    SegmentFull,
}

impl Queue {
    pub(crate) fn new(next: u64, decided_at: i64, settings: &Settings) -> Self {
        Self {
            head: next,
            entries: VecDeque::new(),
            last_decided_at: decided_at,
            promises: Vec::new(),
            free: Vec::new(),
            reserved: 0,
            unwritten: 0,
            writing: 0,
            active_left: 0,
            prepared: 0,
            shortage: FullReason::Preparing,
            idle: false,
            closed: false,
            cost_max: settings.record_cost_max(),
            buffer_max: settings.buffer_bytes_max as u64,
            headroom: settings.headroom_bytes(),
        }
    }

    /// Promises room for `records` records with `bytes` of payload in all; returns the promise.
    ///
    /// # Errors
    /// [`Full`], and nothing has changed.
    pub(crate) fn reserve(
        &mut self,
        purpose: Purpose,
        bytes: usize,
        records: usize,
    ) -> Result<usize, Full> {
        if self.closed {
            return Err(Full {
                retry_after_ms: RETRY_DISK_MS,
                reason: FullReason::Closed,
            });
        }
        let cost = bytes as u64 + records as u64 * record_cost(0);
        if self.memory_bytes() + cost > self.buffer_max {
            return Err(Full {
                retry_after_ms: RETRY_BUFFER_MS,
                reason: FullReason::Buffer,
            });
        }
        if !self.disk_has(purpose, cost) {
            return Err(Full {
                retry_after_ms: RETRY_DISK_MS,
                reason: self.shortage,
            });
        }
        self.reserved += cost;
        let promise = Promise {
            bytes: cost,
            records,
            tickets: 0,
        };
        Ok(match self.free.pop() {
            Some(index) => {
                self.promises[index] = promise;
                index
            }
            None => {
                self.promises.push(promise);
                self.promises.len() - 1
            }
        })
    }

    /// Whether `cost` more bytes are sure to find a place on disk. A segment may waste nearly
    /// one largest record at its end, so that much of each is never promised.
    pub(crate) fn disk_has(&self, purpose: Purpose, cost: u64) -> bool {
        let left = match purpose {
            Purpose::Hit => self.headroom,
            Purpose::Timer => self.headroom / 2,
            Purpose::Control => 0,
        };
        let active = self.active_left.saturating_sub(self.cost_max);
        self.reserved + self.unwritten + cost + left <= active + self.prepared
    }

    /// What is promised, filled or being written, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.reserved + self.unwritten + self.writing
    }

    /// What is promised and not yet filled, in bytes.
    pub(crate) fn reserved_bytes(&self) -> u64 {
        self.reserved
    }

    /// The next offset to be taken.
    pub(crate) fn next(&self) -> u64 {
        self.head + self.entries.len() as u64
    }

    pub(crate) fn last_decided_at(&self) -> i64 {
        self.last_decided_at
    }

    /// Takes the next offset and its time.
    pub(crate) fn take(&mut self, promise: usize, now: Timestamp) -> (u64, Timestamp) {
        self.last_decided_at = self.last_decided_at.max(now.0);
        let offset = self.next();
        self.entries.push_back(Entry {
            decided_at: self.last_decided_at,
            content: Content::Pending,
        });
        let promise = &mut self.promises[promise];
        debug_assert!(promise.records > 0, "more tickets than were reserved");
        promise.records = promise.records.saturating_sub(1);
        promise.tickets += 1;
        (offset, Timestamp(self.last_decided_at))
    }

    /// Fills a taken offset (`None`: it stays void). Returns whether the committer must be woken.
    pub(crate) fn fill(&mut self, promise: usize, offset: u64, payload: Option<Vec<u8>>) -> bool {
        let cost = record_cost(payload.as_ref().map_or(0, Vec::len));
        let held = &mut self.promises[promise];
        debug_assert!(
            cost <= held.bytes,
            "a payload larger than what was reserved"
        );
        let paid = cost.min(held.bytes);
        held.bytes -= paid;
        held.tickets -= 1;
        let settled = held.records == 0 && held.tickets == 0;
        self.reserved -= paid;
        self.unwritten += cost;
        let at = usize::try_from(offset - self.head).expect("an offset is filled once");
        self.entries[at].content = payload.map_or(Content::Void, Content::Filled);
        if settled {
            self.release(promise);
        }
        at == 0 && std::mem::take(&mut self.idle)
    }

    /// Gives back what a dropped reservation did not use, once its tickets are filled.
    pub(crate) fn give_back(&mut self, promise: usize) {
        let held = &mut self.promises[promise];
        held.records = 0;
        // While tickets are out, all that is left stays promised: a payload may be that large.
        if held.tickets == 0 {
            self.release(promise);
        }
    }

    fn release(&mut self, promise: usize) {
        let held = std::mem::take(&mut self.promises[promise]);
        self.reserved -= held.bytes;
        self.free.push(promise);
    }

    /// Whether the committer has something to do.
    pub(crate) fn ready(&self) -> bool {
        self.entries
            .front()
            .is_some_and(|entry| !matches!(entry.content, Content::Pending))
    }

    /// Whether no offset is taken and still unwritten.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Moves the filled records from the front into `batch`, as many as one batch may have;
    /// returns the first offset.
    ///
    /// # Errors
    /// [`Nothing`], and `batch` stays empty.
    pub(crate) fn take_batch(
        &mut self,
        batch: &mut Vec<Taken>,
        batch_bytes_max: u64,
    ) -> Result<u64, Nothing> {
        let overhead = BATCH_HEADER_BYTES as u64;
        let (first, mut size) = (self.head, overhead);
        let mut stop = Nothing::Idle;
        while let Some(entry) = self.entries.front() {
            let payload = match &entry.content {
                Content::Pending => break,
                Content::Filled(payload) => payload.len(),
                Content::Void => 0,
            };
            let grown = size + record_cost(payload) - overhead;
            if grown > self.active_left {
                stop = Nothing::SegmentFull;
                break;
            }
            if grown > batch_bytes_max && !batch.is_empty() {
                break;
            }
            size = grown;
            self.unwritten -= record_cost(payload);
            self.writing += record_cost(payload);
            self.head += 1;
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            let payload = match entry.content {
                Content::Filled(payload) => Some(payload),
                Content::Pending | Content::Void => None,
            };
            batch.push((entry.decided_at, payload));
        }
        if batch.is_empty() {
            return Err(stop);
        }
        self.active_left -= size;
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1000);

    fn queue(active_left: u64) -> Queue {
        let settings = Settings {
            record_bytes_max: 1000,
            buffer_bytes_max: 100_000,
            ..Settings::default()
        };
        let mut queue = Queue::new(5, 0, &settings);
        queue.active_left = active_left;
        queue.headroom = 0;
        queue
    }

    #[test]
    fn nothing_changes_when_there_is_no_room() {
        let mut queue = queue(2000);
        let reason = queue.reserve(Purpose::Hit, 5000, 1).unwrap_err().reason;
        assert_eq!((reason, queue.memory_bytes()), (FullReason::Preparing, 0));
        let reason = queue.reserve(Purpose::Hit, 200_000, 1).unwrap_err().reason;
        assert_eq!((reason, queue.memory_bytes()), (FullReason::Buffer, 0));
    }

    #[test]
    fn hits_leave_the_headroom_to_timers_and_control_records() {
        let mut queue = queue(1_000 + record_cost(1000));
        queue.headroom = 400;
        let most = |queue: &Queue, purpose| {
            let fits = |cost: &u64| queue.disk_has(purpose, *cost);
            (0..2_000).take_while(fits).last()
        };
        assert_eq!(most(&queue, Purpose::Hit), Some(600));
        assert_eq!(most(&queue, Purpose::Timer), Some(800));
        assert_eq!(most(&queue, Purpose::Control), Some(1_000));
        queue.active_left -= 600;
        let refused = queue.reserve(Purpose::Hit, 1, 1).unwrap_err();
        assert_eq!(refused.reason, FullReason::Preparing);
        assert!(queue.reserve(Purpose::Timer, 1, 1).is_ok());
    }

    #[test]
    fn unused_room_is_given_back_by_the_last_fill_or_the_drop() {
        let mut queue = queue(50_000);
        let promise = queue.reserve(Purpose::Hit, 1000, 2).unwrap();
        let (a, _) = queue.take(promise, NOW);
        let (b, _) = queue.take(promise, NOW);
        assert_eq!((a, b), (5, 6));
        queue.fill(promise, b, Some(vec![0; 10]));
        assert!(queue.reserved_bytes() > 0);
        queue.fill(promise, a, None);
        assert_eq!(queue.reserved_bytes(), 0);
        assert_eq!(queue.memory_bytes(), record_cost(10) + record_cost(0));

        let promise = queue.reserve(Purpose::Hit, 1000, 3).unwrap();
        let (c, _) = queue.take(promise, NOW);
        queue.give_back(promise);
        assert!(
            queue.reserved_bytes() >= 1000,
            "the ticket may still be filled"
        );
        queue.fill(promise, c, Some(vec![0; 1000]));
        assert_eq!(queue.reserved_bytes(), 0);
    }

    #[test]
    fn time_never_goes_back_along_offsets() {
        let mut queue = queue(50_000);
        let promise = queue.reserve(Purpose::Hit, 0, 3).unwrap();
        let times = [1000, 400, 1001].map(|now| queue.take(promise, Timestamp(now)).1.0);
        assert_eq!(times, [1000, 1000, 1001]);
    }

    #[test]
    fn only_the_filled_prefix_is_taken_in_order() {
        let mut queue = queue(50_000);
        let promise = queue.reserve(Purpose::Hit, 100, 3).unwrap();
        let offsets = [0; 3].map(|_| queue.take(promise, NOW).0);
        queue.idle = true;
        assert!(
            !queue.fill(promise, offsets[1], Some(vec![1])),
            "not the first in line"
        );
        let mut batch = Vec::new();
        assert_eq!(queue.take_batch(&mut batch, 10_000), Err(Nothing::Idle));
        assert!(queue.fill(promise, offsets[0], None), "wakes the committer");
        assert_eq!(queue.take_batch(&mut batch, 10_000), Ok(5));
        assert_eq!(batch, [(1000, None), (1000, Some(vec![1]))]);
    }

    #[test]
    fn a_batch_stops_at_its_bound_and_at_the_end_of_the_segment() {
        let mut queue = queue(10_000);
        let promise = queue.reserve(Purpose::Hit, 2000, 2).unwrap();
        for _ in 0..2 {
            let (offset, _) = queue.take(promise, NOW);
            queue.fill(promise, offset, Some(vec![0; 1000]));
        }
        let mut batch = Vec::new();
        assert_eq!(
            queue.take_batch(&mut batch, 100),
            Ok(5),
            "one is taken whatever its size"
        );
        assert_eq!(
            (batch.len(), queue.active_left),
            (1, 10_000 - record_cost(1000))
        );
        queue.active_left = 1000;
        batch.clear();
        assert_eq!(
            queue.take_batch(&mut batch, 10_000),
            Err(Nothing::SegmentFull)
        );
        assert_eq!(queue.next(), 7);
    }
}
