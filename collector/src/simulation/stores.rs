//! Profiles and outbox as the upkeep closes them and opens them again.

use fjall::Database;
use rand::Rng;
use rand::rngs::SmallRng;

use super::callbacks::Callbacks;
use super::delivery::{Delivery, OutboxDisk};
use crate::background::{Opened, Stores};
use crate::core::Core;

/// See the module.
pub(super) struct SimulatedStores<'l> {
    pub(super) core: &'l Core,
    pub(super) delivery: &'l mut Delivery,
    pub(super) disk: &'l mut OutboxDisk,
    pub(super) callbacks: &'l mut Callbacks,
    pub(super) random: &'l mut SmallRng,
    pub(super) database: Database,
    /// The disk may be full, the database locked, an opening fail.
    pub(super) is_troubled: bool,
}

/// Why they stay closed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct StaysClosed(String);

impl SimulatedStores<'_> {
    fn has_trouble(&mut self, probability: f64) -> bool {
        self.is_troubled && self.random.random_bool(probability)
    }
}

impl Stores for SimulatedStores<'_> {
    type Database = Database;
    type Error = StaysClosed;

    fn take_writes(&self) -> bool {
        self.core.store_takes_writes() && !self.delivery.activation().has_failed()
    }

    fn has_space(&self) -> bool {
        true
    }

    fn close(&mut self) -> Result<(), StaysClosed> {
        let closed = self.core.exchange_store(None);
        closed.map_err(|error| StaysClosed(error.to_string()))?;
        self.delivery.close(self.callbacks);
        Ok(())
    }

    fn open(&mut self) -> Result<Opened<Database>, StaysClosed> {
        if self.has_trouble(0.2) {
            return Ok(Opened::Locked);
        }
        if self.has_trouble(0.1) {
            return Err(StaysClosed("the database cannot be opened".to_owned()));
        }
        Ok(Opened::Database(self.database.clone()))
    }

    fn open_outbox(&mut self, _: &Database) -> Result<(), StaysClosed> {
        if self.has_trouble(0.1) {
            return Err(StaysClosed("the outbox cannot be opened".to_owned()));
        }
        let seed = self.random.random();
        let opened = self.delivery.reopen(self.disk, seed, self.callbacks);
        opened.map_err(|error| StaysClosed(error.to_string()))
    }

    fn open_profiles(&mut self, database: Database) -> Result<(), StaysClosed> {
        if self.has_trouble(0.1) {
            return Err(StaysClosed("the profiles cannot be opened".to_owned()));
        }
        let opened = self.core.exchange_store(Some(database));
        opened.map_err(|error| StaysClosed(error.to_string()))
    }
}
