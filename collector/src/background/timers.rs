//! Fires what is due, twenty times a second, at the rate of the setting.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::{Machine, Next, share_of_tick};
use crate::core::{Core, Refused};

/// Timers are looked at this often, milliseconds.
const TICK_MS: u64 = 50;
const TICKS_PER_SECOND: usize = 20;
/// Without space in the journal they look again after this long, milliseconds.
const SPACE_MS: u64 = 1_000;

/// See the module.
#[derive(Debug)]
pub struct Timers {
    core: Core,
    /// `timers.rate_max`.
    rate: Arc<AtomicU32>,
}

impl Timers {
    /// Of this core.
    #[must_use]
    pub const fn new(core: Core, rate: Arc<AtomicU32>) -> Self {
        Self { core, rate }
    }
}

impl Machine for Timers {
    fn step(&mut self) -> Next {
        if let Err(error) = self.core.look_ahead() {
            tracing::warn!(%error, "stored due timers were not read");
        }
        let count = share_of_tick(&self.rate, TICKS_PER_SECOND);
        match self.core.fire_due(count) {
            Ok(_) => Next::Pause(TICK_MS),
            Err(Refused::Full { .. }) => Next::JournalSpace(SPACE_MS),
            Err(error) => {
                tracing::warn!(%error, "timers wait");
                Next::Pause(TICK_MS)
            }
        }
    }
}
