//! A reservation is room promised; a ticket is an offset taken. Both give back on drop what was
//! not used, so that a caller that panics stalls no other.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tidegate_event::Timestamp;

use crate::core::Core;
use crate::error::{Fatal, Full, FullReason};
use crate::queue::Purpose;
use crate::waiters::{NEVER, Place};

/// Room in the journal for some records. Dropping it gives back what was not used.
pub struct Reservation {
    core: Arc<Core>,
    promise: usize,
    records: usize,
    settled: bool,
}

/// One offset, taken and to be filled at once: everything after it waits for it.
/// Dropped unfilled, it becomes a void frame.
pub struct Ticket {
    core: Arc<Core>,
    promise: usize,
    offset: u64,
    decided_at: Timestamp,
    filled: bool,
}

impl Reservation {
    pub(crate) fn take(
        core: &Arc<Core>,
        purpose: Purpose,
        bytes: usize,
        records: usize,
    ) -> Result<Self, Full> {
        let promise = core.queue.lock().reserve(purpose, bytes, records)?;
        Ok(Self {
            core: core.clone(),
            promise,
            records,
            settled: false,
        })
    }

    /// Takes the next offset and decides its time: `now`, or the last one given if that is later.
    ///
    /// # Panics
    /// When more tickets are taken than records were reserved.
    pub fn ticket(&mut self, now: Timestamp) -> Ticket {
        assert!(
            self.records > 0,
            "a ticket for each reserved record, no more"
        );
        self.records -= 1;
        self.settled = self.records == 0;
        let (offset, decided_at) = self.core.queue.lock().take(self.promise, now);
        let core = self.core.clone();
        Ticket {
            core,
            promise: self.promise,
            offset,
            decided_at,
            filled: false,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // When every ticket was taken, the last one filled settles the rest.
        if !self.settled {
            self.core.queue.lock().give_back(self.promise);
            self.core.room.wake_all();
        }
    }
}

impl Ticket {
    /// The record's sequence number in the journal.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The record's time; never less than that of an earlier offset.
    #[must_use]
    pub fn decided_at(&self) -> Timestamp {
        self.decided_at
    }

    /// Hands the record to the committer.
    ///
    /// # Panics
    /// When the payload is larger than `record_bytes_max`.
    pub fn fill(mut self, payload: Vec<u8>) {
        let most = self.core.settings.record_bytes_max;
        assert!(
            payload.len() <= most,
            "a payload is at most record_bytes_max"
        );
        self.settle(Some(payload));
    }

    fn settle(&mut self, payload: Option<Vec<u8>>) {
        self.filled = true;
        let wake = self
            .core
            .queue
            .lock()
            .fill(self.promise, self.offset, payload);
        if wake {
            self.core.work.notify_one();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.filled {
            self.settle(None);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// Waits for room; see [`crate::Journal::reserve_wait`].
#[derive(Debug)]
pub struct ReserveWait {
    pub(crate) core: Arc<Core>,
    pub(crate) purpose: Purpose,
    pub(crate) bytes: usize,
    pub(crate) records: usize,
    pub(crate) place: Option<Place>,
}

impl Future for ReserveWait {
    type Output = Result<Reservation, Fatal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        for entered in [false, true] {
            match Reservation::take(&this.core, this.purpose, this.bytes, this.records) {
                Ok(reservation) => return Poll::Ready(Ok(reservation)),
                Err(Full {
                    reason: FullReason::Closed,
                    ..
                }) => {
                    return Poll::Ready(Err(this.core.end()));
                }
                // Room that came free before the future was entered is seen by the second look.
                Err(_) if !entered => {
                    this.core
                        .room
                        .enter(&mut this.place, NEVER, context.waker());
                }
                Err(_) => {}
            }
        }
        Poll::Pending
    }
}

impl Drop for ReserveWait {
    fn drop(&mut self) {
        self.core.room.leave(self.place);
    }
}
