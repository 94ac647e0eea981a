//! `[timers]`: how fast session ends and wake-ups are fired.

use super::declare::When::Live;
use super::declare::{key, section};
use super::kind::number;

section! {
    /// `[timers]`
    pub struct Timers {
        /// Timers (session ends, wake-ups) fired a second, at most.
        rate_max: u32 = 5_000 => key("timers.rate_max", Live, number(1..=1_000_000)),
    }
}
