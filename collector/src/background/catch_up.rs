//! Evaluates the profiles that send nothing, after a catalog change; see [`Core::catch_up`].

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use tidegate_event::ProfileId;

use super::{Machine, Next, share_of_tick};
use crate::core::{Core, Refused};

/// So many profiles are looked at, this often.
const PAGE: usize = 1_000;
const TICK_MS: u64 = 100;
/// Half of the timers' rate, in ten ticks a second.
const TICKS: usize = 20;
/// Wait after a failure of the store, or without space in the journal, milliseconds.
const RETRY_MS: u64 = 1_000;

/// See the module.
#[derive(Debug)]
pub struct CatchUp {
    core: Core,
    /// `timers.rate_max`.
    rate: Arc<AtomicU32>,
    /// Found by the last page, and not evaluated yet.
    changed: Vec<ProfileId>,
}

impl CatchUp {
    /// Of this core.
    #[must_use]
    pub const fn new(core: Core, rate: Arc<AtomicU32>) -> Self {
        Self {
            core,
            rate,
            changed: Vec::new(),
        }
    }

    /// The profile stays where nothing can be evaluated now.
    fn evaluate(&mut self, count: usize) -> Result<(), Refused> {
        for _ in 0..count {
            let Some(id) = self.changed.last() else {
                break;
            };
            self.core.evaluate_now(*id)?;
            self.changed.pop();
        }
        Ok(())
    }
}

impl Machine for CatchUp {
    fn step(&mut self) -> Next {
        if self.changed.is_empty() {
            match self.core.catch_up(PAGE) {
                Ok(page) if page.done && page.changed.is_empty() => return Next::Catalog,
                Ok(page) => self.changed = page.changed,
                Err(error) => {
                    tracing::warn!(%error, "profiles were not evaluated anew; trying again");
                    return Next::Pause(RETRY_MS);
                }
            }
        }
        match self.evaluate(share_of_tick(&self.rate, TICKS)) {
            Ok(()) => Next::Pause(TICK_MS),
            Err(Refused::Full { .. }) => Next::JournalSpace(RETRY_MS),
            Err(error) => {
                tracing::warn!(%error, "profiles were not evaluated anew; trying again");
                Next::Pause(RETRY_MS)
            }
        }
    }
}
