//! `[checkpoint]`: how far the stored profiles may lag behind the journal.

use super::declare::When::Restart;
use super::declare::{key, section};
use super::kind::{COUNT_MAX, number};

section! {
    /// `[checkpoint]`
    pub struct Checkpoint {
        /// A profile is written when its oldest unwritten change is this many records behind. A
        /// restart reads at most this many records.
        lag_records: u64 = 5_000_000
            => key("checkpoint.lag_records", Restart, number(1_000..=COUNT_MAX)),
    }
}
