//! The journal of a node: a segmented append-only log with group commit. It is the source of
//! truth; every consumer follows it with a cursor of its own.
//!
//! A record is acked when the fdatasync that covers it has returned, never before. Payloads are
//! opaque bytes here. No runtime and no clock: time is handed in, waiting is a plain future, and
//! two threads do all writing.
//!
//! The way of a record: [`Journal::reserve`] → [`Reservation::ticket`] (offset and time) →
//! [`Ticket::fill`] → one batch, one write, one fdatasync → [`Journal::wait_durable`] →
//! [`Journal::reader`].

pub mod settings;
pub mod error;
pub mod storage;
mod frame;
mod segment;
mod walk;
mod waiters;
mod queue;
mod ticket;
mod wait;
mod log;
mod core;
mod committer;
mod preparer;
mod retention;
mod trouble;
mod cursor;
mod recovery;
mod formats;
mod journal;
mod reader;
mod snapshot;
mod repair;
mod stats;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use committer::Step;
pub use cursor::{Cursor, CursorClass, CursorInfo, FORMAT_VERSION as CURSORS_FORMAT};
pub use error::{
    Corruption, CursorError, Fatal, FileError, Full, FullReason, OpenError, ReadError,
};
pub use formats::check_formats;
pub use journal::Journal;
pub use queue::Purpose;
pub use reader::{Frame, Reader};
pub use repair::{Cut, Repaired, drop_saved_cursor, repair};
pub use segment::FORMAT_VERSION as SEGMENT_FORMAT;
pub use settings::{Settings, SettingsError};
pub use snapshot::Snapshot;
pub use stats::{SYNC_BUCKETS_US, Stats};
pub use storage::{RealStorage, Storage};
pub use ticket::{Reservation, ReserveWait, Ticket};
pub use wait::{OnFatal, WaitDurable, WaitPast};

/// In the data directory; locked by the process that owns it, and holding its pid.
const LOCK_FILE: &str = "LOCK";

/// Where in a data directory the segments are.
fn journal_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("journal")
}
