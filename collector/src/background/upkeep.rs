//! The checkpoint, each second, and before it the look at a store that failed: one after the other,
//! because a checkpoint holds the store open.

use super::{Next, Reopening, Stores};
use crate::core::Core;
use crate::core::checkpoint::Extent;

/// The checkpoint looks for work this often, milliseconds.
const TICK_MS: u64 = 1_000;

/// See the module.
#[derive(Debug)]
pub struct Upkeep<D> {
    reopening: Reopening<D>,
}

impl<D> Default for Upkeep<D> {
    fn default() -> Self {
        Self {
            reopening: Reopening::default(),
        }
    }
}

impl<D> Upkeep<D> {
    /// One step. `charge` brings the accounts of the disk up to date before a checkpoint.
    pub fn step<S: Stores<Database = D>>(
        &mut self,
        core: &Core,
        stores: &mut S,
        charge: impl FnOnce(&Core),
    ) -> Next {
        if let Some(next) = self.reopening.step(stores) {
            return next;
        }
        core.observe_time();
        charge(core);
        match core.checkpoint(Extent::Due) {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "checkpoint"),
            Err(error) => {
                tracing::error!(%error, "the checkpoint was not written");
                // Memory that fills cannot be freed now.
                return Next::Pause(TICK_MS);
            }
        }
        // New profiles come faster than a look a second lets old ones go.
        Next::PauseUnlessPressed(TICK_MS)
    }
}
