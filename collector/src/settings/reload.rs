//! `[reload]`: how changed files are noticed.

use super::declare::When::Live;
use super::declare::{key, section};
use super::kind::{HOUR, SECOND, duration};

section! {
    /// `[reload]`
    pub struct Reload {
        /// How often settings, catalog, GeoIP and user agent files are checked; a changed one is
        /// reloaded. `0s`: only by SIGHUP and `tidegate reload`.
        watch_interval_ms: u64 = SECOND => key("reload.watch_interval", Live, duration(0..=HOUR)),
    }
}
