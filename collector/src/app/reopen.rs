//! Opens the database of profiles and outbox again in the running process: after a write that
//! failed, on a full disk, it takes no more. Memory stays as it is, the unwritten known as such; the
//! outbox begins from what is at rest, as after a restart.

use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::statvfs;
use tidegate_activation::{Activation, ReopenError};
use tokio::runtime::Handle;

use super::open_files::OpenFiles;
use super::start::{StartError, database, once_free};
use crate::core::Core;
use crate::liveness::spawn;
use crate::profile::store::StoreError;

/// Room on the disk without which opening would only fail again, bytes.
const ROOM_BYTES: u64 = 8 << 20;
/// The old handles are gone when the last who works with them has ended: so long it is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What has to be opened again, and how.
pub(super) struct Reopening {
    pub(super) core: Core,
    pub(super) activation: Activation,
    pub(super) data_dir: PathBuf,
    pub(super) open_files: OpenFiles,
}

/// Why it is still closed.
#[derive(Debug, thiserror::Error)]
enum ReopeningError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Outbox(#[from] ReopenError),
    #[error(transparent)]
    Profiles(#[from] StoreError),
    #[error("the gateway stops")]
    Stopped,
}

impl Reopening {
    /// Opens it again where profiles or outbox take no writes and the disk has room.
    pub(super) async fn look(&self) {
        let open = self.core.store_takes_writes() && !self.activation.has_failed();
        if open || !self.has_room() {
            return;
        }
        match self.reopen().await {
            Ok(()) => tracing::info!("profiles and outbox are open again after a failed write"),
            Err(error) => tracing::error!(%error, "profiles and outbox stay closed; tried again"),
        }
    }

    fn has_room(&self) -> bool {
        statvfs(&self.data_dir)
            .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM_BYTES)
    }

    async fn reopen(&self) -> Result<(), ReopeningError> {
        self.core.exchange_store(None)?;
        self.activation.close().await;
        let (data_dir, open_files) = (self.data_dir.clone(), self.open_files);
        let open = move || {
            let opened = once_free(LOCK_PATIENCE, || database(&data_dir, open_files));
            Handle::current().block_on(opened)
        };
        let opened = spawn::blocking(open).await;
        let database = opened.ok_or(ReopeningError::Stopped)??;
        let (activation, outbox) = (self.activation.clone(), database.clone());
        let reopened = spawn::blocking(move || activation.reopen(outbox)).await;
        reopened.ok_or(ReopeningError::Stopped)??;
        // Last: once this one takes writes, nobody looks any more.
        self.core.exchange_store(Some(database))?;
        Ok(())
    }
}
