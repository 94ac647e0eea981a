//! The database of profiles and outbox as [`crate::background::Reopening`] opens it again.

use std::path::PathBuf;

use fjall::Database;
use rustix::fs::statvfs;
use tidegate_activation::{Activation, ReopenError};
use tokio::runtime::Handle;

use super::open_files::OpenFiles;
use super::start::{StartError, database};
use crate::background::{Opened, Stores};
use crate::core::Core;
use crate::profile::store::StoreError;

/// Space on the disk without which opening would only fail again, bytes.
const SPACE_BYTES: u64 = 8 << 20;

/// What has to be opened again, and how. Called on a blocking thread of the runtime.
pub(super) struct StateStores {
    pub(super) core: Core,
    pub(super) activation: Activation,
    pub(super) data_dir: PathBuf,
    pub(super) open_files: OpenFiles,
}

/// Why it is still closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReopeningError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Outbox(#[from] ReopenError),
    #[error(transparent)]
    Profiles(#[from] StoreError),
}

impl Stores for StateStores {
    type Database = Database;
    type Error = ReopeningError;

    fn take_writes(&self) -> bool {
        self.core.store_takes_writes() && !self.activation.has_failed()
    }

    fn has_space(&self) -> bool {
        statvfs(&self.data_dir)
            .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= SPACE_BYTES)
    }

    fn close(&mut self) -> Result<(), ReopeningError> {
        self.core.exchange_store(None)?;
        Handle::current().block_on(self.activation.close());
        Ok(())
    }

    fn open(&mut self) -> Result<Opened<Database>, ReopeningError> {
        match database(&self.data_dir, self.open_files) {
            Ok(database) => Ok(Opened::Database(database)),
            Err(error) if error.is_locked() => Ok(Opened::Locked),
            Err(error) => Err(error.into()),
        }
    }

    fn open_outbox(&mut self, database: &Database) -> Result<(), ReopeningError> {
        Ok(self.activation.reopen(database.clone())?)
    }

    fn open_profiles(&mut self, database: Database) -> Result<(), ReopeningError> {
        Ok(self.core.exchange_store(Some(database))?)
    }
}
