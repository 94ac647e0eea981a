//! Why a command failed, and what to do next.

use crate::admin::TokenError;
use crate::settings::load::LoadError;
use crate::telemetry::TelemetryError;

use super::client::ClientError;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line, or a request for help.
    #[error("{0}")]
    Usage(#[from] clap::Error),
    /// Standard output is gone or full.
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
    /// Settings or a catalog.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// A check that found mistakes; they are printed already.
    #[error("{count} {}; mend what is listed and run it again", plural(*count))]
    Mistakes {
        /// How many.
        count: usize,
    },
    /// The admin token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The certificates of the command line.
    #[error(transparent)]
    AdminTls(#[from] crate::admin::TlsError),
    /// The running gateway.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Logging.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The journal cannot be read.
    #[error("{0}; is --data-dir the gateway's data directory?")]
    Absent(tidegate_journal::ReadError),
    /// Records that were durable are not there.
    #[error(
        "the journal ends at offset {end} and was durable up to {mark}: its last segment is damaged or missing; put \
         it back, or stop the gateway and run: tidegate journal repair"
    )]
    EndMissing {
        /// After the last record that can be read.
        end: u64,
        /// The durable mark saved beside the cursors.
        mark: u64,
    },
    /// The journal cannot be read on.
    #[error("{}", with_next_step(.0))]
    Read(tidegate_journal::ReadError),
    /// A record does not parse.
    #[error("offset {offset}: {source}")]
    Record {
        /// Its offset.
        offset: u64,
        /// Why.
        source: tidegate_event::record::RecordError,
    },
    /// A cursor.
    #[error("cursor {name:?}: {source}; list them with: tidegate journal cursors list")]
    Cursor {
        /// Its name.
        name: String,
        /// Why.
        source: tidegate_journal::CursorError,
    },
    /// A cursor that every start with these settings needs.
    #[error(
        "cursor {name:?} is needed at the next start: without it {lost}; to drop it all the same, \
         add --force"
    )]
    Needed {
        /// Its name.
        name: String,
        /// What may be gone.
        lost: &'static str,
    },
    /// The saved cursors.
    #[error("{0}")]
    Cursors(tidegate_journal::CursorError),
    /// A repair.
    #[error("{0}")]
    Repair(tidegate_journal::OpenError),
    /// A test callback that was not taken.
    #[error("the destination did not take the test callback; see its answer above")]
    NotDelivered,
    /// A host on the command line.
    #[error(transparent)]
    Host(#[from] super::doctor::host::NotAUrl),
    /// The doctor found what will not do; it is printed already.
    #[error("{count} of these will not do; mend what is marked fail and run it again")]
    Unfit {
        /// How many.
        count: usize,
    },
    /// The journal's disk failed while the gateway ran.
    #[error(
        "ended: {0}; nothing was acknowledged after that. Look after the disk, then start again: the journal recovers by itself"
    )]
    DiskFailed(tidegate_journal::Fatal),
    /// The part of the gateway that a command starts.
    #[error("cannot start: {source}")]
    Start {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "mistake" } else { "mistakes" }
}

fn with_next_step(error: &tidegate_journal::ReadError) -> String {
    use tidegate_journal::ReadError;
    match error {
        ReadError::Retired { oldest, .. } => format!("{error}; start there: --from {oldest}"),
        ReadError::Corrupt(_) => {
            format!("{error}; stop the gateway, then run: tidegate journal repair")
        }
        ReadError::Absent { .. } | ReadError::NewerFormat { .. } | ReadError::Io(_) => {
            error.to_string()
        }
    }
}
