//! What can go wrong at this crate's edges. Delivery failures are not here: see [`crate::retry`].

use tidegate_event::row_version::RowError;

use crate::destinations::KeyError;
use crate::outbox::FORMAT;

/// The outbox could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database refused.
    #[error("cannot open the outbox: {0}")]
    Store(#[from] StoreError),
    /// There is no tokio runtime to run the workers on.
    #[error("activation must be opened inside a tokio runtime")]
    NoRuntime,
    /// The TLS client could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The store thread could not be started.
    #[error("cannot start the outbox thread")]
    Thread(#[source] std::io::Error),
}

/// The outbox could not be opened again.
#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    /// As at a start.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its destinations.
    #[error(transparent)]
    Destinations(#[from] ApplyError),
}

/// The outbox failed. After a failed write the database refuses all further ones, until it is
/// opened again: [`crate::Activation::reopen`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage engine failed.
    #[error("outbox storage failed: {0}")]
    Engine(#[from] fjall::Error),
    /// Of a form that this build does not read. Nothing was changed.
    #[error(
        "the stored callbacks and dead letters have {}, and this build reads formats 1 to \
         {FORMAT}; start the tidegate that wrote them or a later one, or restore a backup of the \
         data directory",
        named(*found)
    )]
    Format {
        /// Its number; None: from before there was one.
        found: Option<u32>,
    },
    /// A keyspace is gone. Opening it would begin it anew.
    #[error(
        "{keyspace:?} of the stored callbacks is missing, so the directory `state` is damaged; \
         restore the data directory from a backup"
    )]
    Lost {
        /// Which.
        keyspace: &'static str,
    },
    /// A row of a version that this build does not read.
    #[error(
        "the outbox holds a row of format {found}, and this build reads formats 1 to {FORMAT}; \
         start the tidegate that wrote it or a later one"
    )]
    NewerRow {
        /// Its version.
        found: u8,
    },
    /// A row does not parse.
    #[error("outbox row is malformed")]
    Malformed,
    /// A write failed, and the database is not open again yet.
    #[error("the outbox is closed after a failed write; it is opened again when the disk has room")]
    Closed,
}

impl From<RowError> for StoreError {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Newer { found } => Self::NewerRow { found },
            RowError::Malformed => Self::Malformed,
        }
    }
}

fn named(found: Option<u32>) -> String {
    found.map_or_else(
        || "no format number (written before release 0.1.0)".to_owned(),
        |format| format!("format {format}"),
    )
}

/// An invalid value of one destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("destination {name:?}: {kind}")]
pub struct ConfigError {
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub kind: ConfigErrorKind,
}

/// What can be wrong with a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigErrorKind {
    /// Empty, longer than 64 bytes, or with other characters.
    #[error("name: use 1 to 64 of a-z A-Z 0-9 . _ -")]
    Name,
    /// Two destinations of one name.
    #[error("name: used twice")]
    DuplicateName,
    /// A value that its kind refuses.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A limit of zero.
    #[error("limits: rps, concurrency and timeout must be at least 1")]
    ZeroLimit,
}

/// An operation on one destination failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No destination has this name.
    #[error("no such destination")]
    UnknownDestination,
    /// It is not in the configuration any more.
    #[error("the destination has left the configuration")]
    Left,
    /// The outbox failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A configuration was refused; the old one stays.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// What is wrong with it.
    #[error("{} invalid values in the destinations", .0.len())]
    Invalid(Vec<ConfigError>),
    /// The outbox failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Vec<ConfigError>> for ApplyError {
    fn from(errors: Vec<ConfigError>) -> Self {
        Self::Invalid(errors)
    }
}
