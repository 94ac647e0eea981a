//! Why a gateway does not start, in words that say what to do.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::app::hand_over::{InheritError, TakeOverError};
use crate::app::open_files::OpenFiles;
use crate::cursors::kafka;
use crate::profile::store::REMEDY;
use crate::telemetry::traces::ExportError;
use crate::{admin, edge};

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error("cannot use the data directory {path}: {error}; {}", way_on(error))]
    DataDir {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The limit on open files.
    #[error(
        "{limit} open files are allowed, too few to serve anybody; raise the limit to {wanted} (systemd: LimitNOFILE={wanted}, Docker: --ulimit nofile={wanted}, shell: ulimit -n {wanted})"
    )]
    OpenFiles {
        /// In force.
        limit: OpenFiles,
        /// What the settings may make use of.
        wanted: u64,
    },
    /// The process before.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// Something in the data directory was written by a later release.
    #[error(transparent)]
    Formats(#[from] crate::formats::FormatsError),
    /// The journal.
    #[error("cannot open the journal: {0}")]
    Journal(#[from] tidegate_journal::OpenError),
    /// The database of profiles and outbox.
    #[error("cannot open the profile store in {path}: {error}{}", remedy(error))]
    Store {
        /// Its directory.
        path: PathBuf,
        /// What it says.
        error: fjall::Error,
    },
    /// The catalog's store.
    #[error("cannot open the catalog's store: {0}")]
    CatalogStore(#[from] crate::catalog::store::StoreError),
    /// The catalog file.
    #[error("cannot read the catalog {path}: {error}; see `catalog` in the settings")]
    CatalogFile {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A catalog with mistakes.
    #[error("{0}")]
    Catalog(#[from] crate::catalog::store::ApplyError),
    /// The state.
    #[error(transparent)]
    State(#[from] crate::core::OpenError),
    /// A GeoIP database.
    #[error(transparent)]
    Geo(#[from] crate::geo::GeoError),
    /// The data for user agents.
    #[error(transparent)]
    UserAgents(#[from] crate::device::DataError),
    /// Activation.
    #[error("cannot start activation: {0}")]
    Activation(#[from] tidegate_activation::OpenError),
    /// Its destinations.
    #[error("cannot start activation: {0}")]
    Destinations(#[from] tidegate_activation::ApplyError),
    /// A cursor.
    #[error(transparent)]
    ActivationCursor(#[from] crate::cursors::activation::StartError),
    /// The Kafka sink.
    #[error("cannot start forwarding to Kafka: {0}")]
    Kafka(#[from] kafka::StartError),
    /// A socket that a service manager passes.
    #[error(transparent)]
    Inherited(#[from] InheritError),
    /// A listener.
    #[error(transparent)]
    Bind(#[from] edge::BindError),
    /// Or the runtime cannot watch its socket.
    #[error("cannot watch the edge's sockets: {0}")]
    Sockets(std::io::Error),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] edge::TlsError),
    /// Traces.
    #[error(transparent)]
    Traces(#[from] ExportError),
    /// The admin token.
    #[error(transparent)]
    Token(#[from] admin::TokenError),
    /// The files of `[admin.tls]`.
    #[error(transparent)]
    AdminTls(#[from] admin::TlsError),
    /// The admin socket is reachable from elsewhere, and there is no token.
    #[error(
        "the admin listener's address {0} is not loopback: set admin.token_file or admin.tls.client_ca, or give it a socket on 127.0.0.1"
    )]
    TokenMissing(SocketAddr),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// What to do about a data directory that cannot be used.
fn way_on(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => {
            "make room on its file system (df -h, df -i), then start again"
        }
        _ => "name another with --data-dir DIR",
    }
}

/// What to do about a store that cannot be opened.
fn remedy(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Locked => ": another process has it open".to_owned(),
        _ => format!("; where the disk is well, the store is damaged: {REMEDY}"),
    }
}

impl StartError {
    /// True where another process still holds a lock.
    pub(in crate::app) const fn is_locked(&self) -> bool {
        use tidegate_journal::OpenError;
        matches!(
            self,
            Self::Journal(OpenError::Locked { .. })
                | Self::Store {
                    error: fjall::Error::Locked,
                    ..
                }
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_full_disk_asks_for_room_and_no_other_directory() {
        let said = |kind| {
            let path = PathBuf::from("/data");
            let error = Error::from(kind);
            StartError::DataDir { path, error }.to_string()
        };
        let full = said(ErrorKind::StorageFull);
        assert!(full.contains("make room") && !full.contains("--data-dir"));
        assert!(said(ErrorKind::PermissionDenied).contains("--data-dir"));
    }
}
