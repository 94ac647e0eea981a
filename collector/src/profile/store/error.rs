//! Why the profile store could not read or write.

use tidegate_event::ProfileId;
use tidegate_event::row_version::RowError;

use crate::profile::row::FORMAT;

/// The store failed; what it holds is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database itself.
    #[error("the profile store failed: {0}")]
    Database(#[from] fjall::Error),
    /// Of a form that this build does not read. Nothing was changed.
    #[error(
        "the stored profiles have {}, and this build reads formats 1 to {FORMAT}; start the \
         tidegate that wrote them or a later one, or restore a backup of the data directory",
        named(*found)
    )]
    Format {
        /// Its number; None: from before there was one.
        found: Option<u32>,
    },
    /// A keyspace is gone. Opening it would begin it anew.
    #[error(
        "{keyspace:?} of the profile store is missing, so the directory `state` is damaged; {}",
        REMEDY
    )]
    Lost {
        /// Which.
        keyspace: &'static str,
    },
    /// A row of a version that this build does not read.
    #[error(
        "the profile store holds a row of format {found}, and this build reads formats 1 to \
         {FORMAT}; start the tidegate that wrote it or a later one"
    )]
    NewerRow {
        /// Its version.
        found: u8,
    },
    /// A row that does not parse.
    #[error(
        "a row of the profile store does not parse; the data directory was written by another version or is damaged"
    )]
    Row,
    /// No place in memory for another profile.
    #[error(
        "{live} profiles are in memory, above profiles.live_max and its slack; the event can be \
         sent again when some of them are written"
    )]
    MemoryFull {
        /// Profiles in memory.
        live: usize,
    },
    /// Other hits changed the same profiles each time.
    #[error(
        "other events changed the same profiles between look-up and lock, {tries} times in turn"
    )]
    Contended {
        /// Tries.
        tries: usize,
    },
    /// Aliases that do not come to an end.
    #[error("the merges of profile {0} do not lead to a profile; its rows are damaged")]
    Aliases(ProfileId),
    /// A write failed, and the database is not open again yet.
    #[error(
        "the profile store is closed after a failed write; it is opened again when the disk has room"
    )]
    Closed,
}

impl From<RowError> for StoreError {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Newer { found } => Self::NewerRow { found },
            RowError::Malformed => Self::Row,
        }
    }
}

impl StoreError {
    /// True where the rows of one profile are the cause, and those of others can be read.
    #[must_use]
    pub const fn is_of_one_row(&self) -> bool {
        matches!(self, Self::Row | Self::NewerRow { .. } | Self::Aliases(_))
    }
}

fn named(found: Option<u32>) -> String {
    found.map_or_else(
        || "no format number (written before release 0.1.0)".to_owned(),
        |format| format!("format {format}"),
    )
}

/// What to do where the store, or a part of it, is not what was written.
pub const REMEDY: &str = "put it back, or restore the data directory from a backup. To go on \
    without: move `state` away, run `tidegate journal cursors drop checkpoint --force`, and start; \
    profiles are then made of what the journal still holds, and waiting callbacks and \
    deduplication keys are lost";
