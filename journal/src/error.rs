//! What can go wrong, one small enum per boundary.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::settings::SettingsError;

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns the data directory.
    #[error("data directory {} is in use{}", dir.display(), holder(*pid))]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// Process id of the owner, when its lock file tells.
        pid: Option<u32>,
    },
    /// A setting that cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Bytes that were durable are damaged.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// A segment or the cursor file was written by a later release.
    #[error(
        "{} has journal format {found}, this release reads up to {supported}: \
         run the release that wrote it, or a later one", path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// The file system refused something.
    #[error(transparent)]
    Io(#[from] FileError),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

/// Damage below the durable mark.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "journal is corrupt from offset {offset} on ({} at byte {position}): \
     run `tidegate journal repair`", path.display()
)]
pub struct Corruption {
    /// The damaged file.
    pub path: PathBuf,
    /// The byte at which reading stops.
    pub position: u64,
    /// The first offset that cannot be read.
    pub offset: u64,
}

/// A failed file operation.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried, as in "sync".
    pub doing: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: Arc<io::Error>,
}

/// Adds what was tried, and where, to an error of the system.
pub(crate) trait At<T> {
    /// # Errors
    /// The error it was called on, with its place.
    fn at(self, doing: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|error| FileError {
            doing,
            path: path.to_owned(),
            source: Arc::new(error),
        })
    }
}

/// No room: nothing was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal has no room ({reason:?}), retry in {retry_after_ms} ms")]
pub struct Full {
    /// When to try again, in milliseconds.
    pub retry_after_ms: u64,
    /// What has run out.
    pub reason: FullReason,
}

/// What has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullReason {
    /// `buffer_bytes_max`: the disk does not keep up.
    Buffer,
    /// The next segment is not ready yet.
    Preparing,
    /// The next segment could not be prepared: the disk is full or failing.
    Disk,
    /// `disk_budget`: a required cursor holds every segment.
    Budget,
    /// The journal is shutting down or has failed.
    Closed,
}

/// The journal takes no more records.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fatal {
    /// A write or sync of an existing segment failed; what was not acked stays so.
    #[error(transparent)]
    Io(FileError),
    /// [`crate::Journal::shutdown`] was called.
    #[error("the journal is shut down")]
    Closed,
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Retention has removed this offset.
    #[error("offset {wanted} is no longer kept, the oldest is {oldest}")]
    Retired {
        /// The offset asked for.
        wanted: u64,
        /// The oldest offset that can be read.
        oldest: u64,
    },
    /// There is no journal in this directory.
    #[error("there is no journal in {}", dir.display())]
    Absent {
        /// The data directory.
        dir: PathBuf,
    },
    /// Durable bytes are damaged.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// A segment was written by a later release.
    #[error("{} has journal format {found}, newer than this release", path.display())]
    NewerFormat {
        /// The segment.
        path: PathBuf,
        /// Its format version.
        found: u32,
    },
    /// The file system refused something.
    #[error(transparent)]
    Io(#[from] FileError),
}

/// Why a cursor operation was refused.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// Names are 1 to 64 of `a-z 0-9 _ - .`
    #[error("a cursor's name is 1 to 64 of a-z, 0-9, '_', '-' and '.'")]
    Name,
    /// At most this many cursors exist at once.
    #[error("at most {most} cursors can exist")]
    TooMany {
        /// The bound.
        most: usize,
    },
    /// No cursor has this name.
    #[error("there is no such cursor")]
    Unknown,
    /// A handle to it is held, so it is followed.
    #[error("it is in use")]
    InUse,
    /// Another process owns the data directory.
    #[error("the data directory is in use{}", holder(*pid))]
    Locked {
        /// Process id of the owner, when its lock file tells.
        pid: Option<u32>,
    },
    /// The cursor file is damaged.
    #[error("{} is damaged: run `tidegate journal repair`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The cursor file was written by a later release.
    #[error(
        "{} is of a newer version of Tidegate (cursor format {found}, this release reads up to \
         {supported}): run the release that wrote it, or a later one", path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// The file system refused something.
    #[error(transparent)]
    Io(#[from] FileError),
}
