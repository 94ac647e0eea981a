//! `[profiles]`: how many profiles are kept, how large, and for how long.

use super::declare::When::{Live, Restart};
use super::declare::{key, section};
use super::kind::{COUNT_MAX, DAY, GIB, KIB, MIB, TIB, duration, number, size};

section! {
    /// `[profiles]`
    pub struct Profiles {
        /// Profiles kept in memory. Beyond it, profiles that are written to disk are evicted. Above
        /// it by an eighth (at least 1,024), events of new profiles are answered `overloaded`.
        live_max: usize = 2_000_000 => key("profiles.live_max", Restart, number(1_000..=COUNT_MAX)),

        /// Bytes of the accumulated traits of one profile.
        traits_bytes_max: usize = 2 << 10
            => key("profiles.traits_bytes_max", Restart, size(0..=64 * KIB)),

        /// Identifiers of one profile; a merge beyond it is refused.
        identifiers_max: usize = 50 => key("profiles.identifiers_max", Restart, number(2..=1_000)),

        /// Merges into one profile within an hour, counted from the first; further ones are
        /// refused.
        merges_per_hour_max: u32 = 20
            => key("profiles.merges_per_hour_max", Restart, number(0..=10_000)),

        /// New profiles a second that one client address (IPv6: one /64) may create, with a burst
        /// of one minute; beyond it `rate_limited`. Known visitors, server sources and loopback do
        /// not count. `0`: no limit.
        new_per_address_rate: u32 = 50
            => key("profiles.new_per_address_rate", Live, number(0..=1_000_000)),

        /// A stored profile is removed, with its identifiers and timers, when its last event is
        /// this old. Its visitor starts again as a new one.
        retention_ms: u64 = 400 * DAY
            => key("profiles.retention", Restart, duration(DAY..=3_650 * DAY)),

        /// Bytes of stored profiles (rows, identifiers and due times, before compression); beyond
        /// it the oldest are removed until a tenth is free.
        disk_max: u64 = 8 * GIB => key("profiles.disk_max", Restart, size(16 * MIB..=1_024 * TIB)),
    }
}
