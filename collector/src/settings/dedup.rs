//! `[dedup]`: how long second copies of an event are recognised.

use super::declare::When::Restart;
use super::declare::{key, section};
use super::kind::{COUNT_MAX, DAY, MINUTE, duration, number};

section! {
    /// `[dedup]`
    pub struct Dedup {
        /// How long a message id is remembered.
        window_ms: u64 = DAY => key("dedup.window", Restart, duration(MINUTE..=7 * DAY)),

        /// How many message ids are remembered; the oldest are removed.
        entries_max: usize = 4_000_000
            => key("dedup.entries_max", Restart, number(1_000..=COUNT_MAX)),
    }
}
