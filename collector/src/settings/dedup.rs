//! `[dedup]`: how long second copies of an event are recognised.

use super::declare::When::Restart;
use super::declare::{key, section};
use super::kind::{COUNT_MAX, DAY, MINUTE, duration, number};

section! {
    /// `[dedup]`
    pub struct Dedup {
        /// How long a message id is remembered, at least. A restart may add up to one more window. Ids
        /// should be random: who can guess one can send it first, and the real event is a duplicate then.
        window_ms: u64 = DAY => key("dedup.window", Restart, duration(MINUTE..=7 * DAY)),

        /// How many message ids are remembered; the oldest are removed.
        entries_max: usize = 4_000_000
            => key("dedup.entries_max", Restart, number(1_000..=COUNT_MAX)),
    }
}
