//! Bad rows: why an event was not taken, with its payload masked and cut (invariant 4). Written
//! by a thread of its own behind a bounded queue; when that is full, rows are dropped and counted,
//! since ingest never waits for them. Nothing of a visitor's values is kept.

mod mask;
mod vocabulary;
mod store;
mod metrics;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tidegate_event::json::write_str;
use tidegate_event::{Outcome, Pulse, Timestamp};
use tokio::sync::mpsc;

use crate::settings;
use store::Store;

/// The version of a row, its first member. Rows of version 1 have none.
pub const FORMAT: u32 = 2;
/// Its directory under the data directory.
pub const DIR: &str = "bad-rows";
/// The files in it, the newest first.
pub const FILES: [&str; 2] = [store::CURRENT, store::PREVIOUS];
/// Rows waiting to be written; at about 1.5 KiB each.
const QUEUE_ROWS_MAX: usize = 1_024;
/// Bytes of masked payload that a row keeps.
const PAYLOAD_BYTES_MAX: usize = 1_024;
/// Bytes of reason and of path that a row keeps each.
const TEXT_BYTES_MAX: usize = 512;
/// Rows that [`BadRows::last`] gives at most.
const LAST_ROWS_MAX: usize = 1_000;

/// One event that was not taken.
#[derive(Clone, Copy, Debug)]
pub struct BadRow<'a> {
    /// When its request arrived.
    pub at: Timestamp,
    /// Name of the source whose key it carried.
    pub source: &'a str,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: &'a str,
    /// JSON path of the fault, from `$`.
    pub path: &'a str,
    /// The event as sent, or the whole body where it is no JSON.
    pub payload: &'a [u8],
    /// The payload is JSON, so that its well-known names are known from values and kept.
    pub is_json: bool,
}

/// The handle: cheap to clone. When the last one goes, what is queued is written first.
#[derive(Clone, Debug)]
pub struct BadRows {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Option<mpsc::Sender<Vec<u8>>>,
    store: Arc<Mutex<Store>>,
    writer: Option<JoinHandle<()>>,
    kept: Counter,
    dropped: Counter,
    expired: Counter,
}

impl BadRows {
    /// Opens `dir` (made where missing) and starts the writer.
    ///
    /// # Errors
    /// Where the directory or its file cannot be opened, or no thread started.
    pub fn start(
        dir: &Path,
        settings: &settings::BadRows,
        registry: &mut Registry,
        pulse: Pulse,
    ) -> io::Result<Self> {
        let (kept, dropped) = (Counter::default(), Counter::default());
        registry.register(
            "tidegate_bad_rows",
            "Bad rows handed to the writer",
            kept.clone(),
        );
        registry.register(
            "tidegate_bad_rows_dropped",
            "Bad rows lost to a full queue or a failed write",
            dropped.clone(),
        );
        let expired = Counter::default();
        registry.register(
            "tidegate_bad_rows_expired",
            "Bad rows removed because of their age",
            expired.clone(),
        );
        let store = Store::open(dir, settings.bytes_max, settings.retention_ms)?;
        let store = Arc::new(Mutex::new(store));
        let (queue, rows) = mpsc::channel(QUEUE_ROWS_MAX);
        let writer = std::thread::Builder::new()
            .name("bad-rows".to_owned())
            .spawn({
                let (store, dropped) = (Arc::clone(&store), dropped.clone());
                move || {
                    let _until_the_end = pulse;
                    write_all(rows, &store, &dropped);
                }
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                queue: Some(queue),
                store,
                writer: Some(writer),
                kept,
                dropped,
                expired,
            }),
        })
    }

    /// Queues one row. Never waits; the payload is masked before it leaves this call.
    pub fn keep(&self, row: &BadRow<'_>) {
        let Some(queue) = &self.inner.queue else {
            return;
        };
        match queue.try_reserve() {
            Ok(place) => {
                place.send(line(row));
                self.inner.kept.inc();
            }
            Err(_full) => {
                self.inner.dropped.inc();
            }
        }
    }

    /// The newest `n` written rows (at most 1,000), newest first, each a JSON object in one line.
    /// Reads files: call it off the request path.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn last(&self, n: usize) -> io::Result<Vec<String>> {
        self.inner.store.lock().last(n.min(LAST_ROWS_MAX))
    }

    /// Removes the rows that are older than `bad_rows.retention`. Reads and removes files: call it off
    /// the request path.
    ///
    /// # Errors
    /// Where a file cannot be read or removed.
    pub fn expire(&self, now: Timestamp) -> io::Result<()> {
        let rows = self.inner.store.lock().expire(now)?;
        self.inner.expired.inc_by(rows);
        Ok(())
    }

    /// Bytes on disk, for the disk budget.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inner.store.lock().bytes()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of bad rows failed");
        }
    }
}

fn write_all(mut rows: mpsc::Receiver<Vec<u8>>, store: &Mutex<Store>, dropped: &Counter) {
    let mut failing = false;
    while let Some(row) = rows.blocking_recv() {
        let written = store.lock().append(&row);
        if let Err(error) = &written {
            dropped.inc();
            if !failing {
                tracing::warn!(%error, "bad rows cannot be written");
            }
        }
        failing = written.is_err();
    }
}

/// The row as one line of JSON.
fn line(row: &BadRow<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + row.payload.len().min(PAYLOAD_BYTES_MAX));
    out.extend_from_slice(b"{\"version\":");
    out.extend_from_slice(itoa::Buffer::new().format(FORMAT).as_bytes());
    out.extend_from_slice(b",\"at\":\"");
    row.at.write_rfc3339(&mut out);
    out.extend_from_slice(b"\",\"source\":");
    write_str(&mut out, row.source);
    out.extend_from_slice(b",\"outcome\":");
    write_str(&mut out, row.outcome.as_str());
    out.extend_from_slice(b",\"reason\":");
    write_str(&mut out, cut(row.reason));
    out.extend_from_slice(b",\"path\":");
    write_str(&mut out, cut(row.path));
    out.extend_from_slice(b",\"size\":");
    out.extend_from_slice(itoa::Buffer::new().format(row.payload.len()).as_bytes());
    out.extend_from_slice(b",\"payload\":");
    let masked = mask::masked(row.payload, row.is_json, PAYLOAD_BYTES_MAX);
    write_str(&mut out, &masked);
    out.extend_from_slice(b"}\n");
    out
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
