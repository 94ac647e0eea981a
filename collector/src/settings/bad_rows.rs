//! `[bad_rows]`: how many rejected events are kept for inspection, and for how long.

use super::declare::When::Restart;
use super::declare::{key, section};
use super::kind::{DAY, GIB, KIB, MIB, MINUTE, duration, size};

section! {
    /// `[bad_rows]`
    pub struct BadRows {
        /// Bytes of bad rows kept, masked; the oldest are removed.
        bytes_max: u64 = 64 * MIB => key("bad_rows.bytes_max", Restart, size(64 * KIB..=64 * GIB)),

        /// Age at which bad rows are removed, at the latest.
        retention_ms: u64 = 7 * DAY
            => key("bad_rows.retention", Restart, duration(MINUTE..=3_660 * DAY)),
    }
}
