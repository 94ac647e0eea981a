//! A small journal to test with, and waiting without a runtime.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tidegate_event::Timestamp;

use crate::storage::simulated::SimulatedStorage;
use crate::{Journal, OpenError, RealStorage, Settings, Step};

pub(crate) const NOW: Timestamp = Timestamp(1_000_000);

/// Segments of 32 KiB, records of at most 4 KiB.
pub(crate) fn small() -> Settings {
    Settings {
        segment_bytes: 32 << 10,
        disk_budget: 1 << 20,
        retention_ms: 1000,
        record_bytes_max: 4 << 10,
        batch_bytes_max: 16 << 10,
        buffer_bytes_max: 256 << 10,
        ..Settings::default()
    }
}

pub(crate) fn real(dir: &Path) -> Journal {
    Journal::open(dir, Arc::new(RealStorage), small()).unwrap()
}

pub(crate) fn data_dir() -> PathBuf {
    PathBuf::from("/data")
}

pub(crate) fn try_stepped(
    storage: &SimulatedStorage,
    settings: Settings,
) -> Result<Journal, OpenError> {
    Journal::open_stepped(&data_dir(), Arc::new(storage.clone()), settings)
}

/// A journal that is driven by hand, with its next segment prepared.
pub(crate) fn stepped(storage: &SimulatedStorage, settings: Settings) -> Journal {
    let journal = try_stepped(storage, settings).unwrap();
    journal.prepare_step();
    journal
}

pub(crate) fn fill(journal: &Journal, now: Timestamp, payload: &[u8]) -> u64 {
    let mut reservation = journal.reserve(payload.len(), 1).unwrap();
    let ticket = reservation.ticket(now);
    let offset = ticket.offset();
    ticket.fill(payload.to_vec());
    offset
}

/// Commits `count` records of 1,000 bytes, each in a batch of its own, preparing as needed.
pub(crate) fn commit_many(journal: &Journal, count: u64) {
    for n in 0..count {
        let next = journal.next_offset();
        fill(
            journal,
            NOW.plus_ms(i64::try_from(n).unwrap()),
            &record(next),
        );
        assert_eq!(journal.commit_step(), Step::Committed, "record {n}");
        journal.prepare_step();
    }
}

/// The payload that [`commit_many`] gives an offset.
pub(crate) fn record(offset: u64) -> Vec<u8> {
    let mut payload = vec![u8::try_from(offset % 251).unwrap(); 1000];
    payload[..8].copy_from_slice(&offset.to_le_bytes());
    payload
}

pub(crate) fn read_all(journal: &Journal, from: u64) -> Vec<(u64, i64, Vec<u8>)> {
    let mut reader = journal.reader(from).unwrap();
    let mut records = Vec::new();
    while let Some(frame) = reader.next_below(u64::MAX).unwrap() {
        records.push((frame.offset, frame.decided_at.0, frame.payload.to_vec()));
    }
    records
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Polls a future once, as nobody.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
