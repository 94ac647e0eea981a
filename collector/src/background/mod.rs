//! What runs beside the requests: timers, the look at silent visitors after a catalog change, the
//! checkpoint and the reopening of a failed store.
//!
//! Each is a state machine: a step does a bounded piece of work, never waits, and says what to wait
//! for. `app::background` interprets that in tasks, the simulation without.

mod timers;
mod catch_up;
mod reopen;
mod upkeep;

pub use catch_up::CatchUp;
pub use reopen::{Opened, Reopening, Stores};
pub use timers::Timers;
pub use upkeep::Upkeep;

use std::sync::atomic::{AtomicU32, Ordering};

use crate::core::Core;

/// How often a machine that waits for an event looks by itself, milliseconds.
const LOOK_MS: u64 = 60_000;

/// What a machine needs before its next step, which may always come earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it has more to do.
    Again,
    /// So many milliseconds since this step began.
    Pause(u64),
    /// The same, or less where the memory for profiles fills.
    PauseUnlessPressed(u64),
    /// Space in the journal for a timer's record; looked for again after so many milliseconds.
    JournalSpace(u64),
    /// Another catalog.
    Catalog,
}

impl Next {
    /// The next step comes at the latest so many milliseconds after this one began.
    #[must_use]
    pub const fn bound_ms(self) -> u64 {
        match self {
            Self::Again => 0,
            Self::Pause(ms) | Self::PauseUnlessPressed(ms) | Self::JournalSpace(ms) => ms,
            Self::Catalog => LOOK_MS,
        }
    }

    /// Resolves when what it waits for has come; never where only time ends the wait.
    pub async fn event(self, core: &Core) {
        match self {
            Self::Again => {}
            Self::Pause(_) => std::future::pending().await,
            Self::PauseUnlessPressed(_) => core.memory_pressed().await,
            Self::JournalSpace(_) => core.timer_space().await,
            Self::Catalog => core.catalog_switched().await,
        }
    }
}

/// What one of `ticks` in a second may do at the rate of a setting; at least one.
fn share_of_tick(per_second: &AtomicU32, ticks: usize) -> usize {
    let per_second = usize::try_from(per_second.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    per_second.div_ceil(ticks).max(1)
}

/// A loop as a state machine.
pub trait Machine {
    /// One bounded piece of work. It may read and write the disk.
    fn step(&mut self) -> Next;
}
