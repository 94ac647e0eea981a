//! `[user_agents]`: how user agents are read.

use std::path::PathBuf;

use super::declare::When::Live;
use super::declare::{key, section};
use super::kind::{number, path};

section! {
    /// `[user_agents]`
    #[derive(Eq)]
    pub struct UserAgents {
        /// uap-core's regexes, which name device, system and browser. They replace those of this
        /// build. `make user-agents` writes such a file.
        regexes: Option<PathBuf> = None
            => key("user_agents.regexes", Live, path().optional()).unset(r#""regexes.json""#),

        /// The list of crawlers in the format of the npm package `crawler-user-agents`. It replaces
        /// that of this build.
        crawlers: Option<PathBuf> = None
            => key("user_agents.crawlers", Live, path().optional())
                .unset(r#""crawler-user-agents.json""#),

        /// User agents whose device is kept in memory, at most about 1 KiB each.
        cache_entries: usize = 8_192
            => key("user_agents.cache_entries", Live, number(64..=1_000_000)),

        /// User agents outside the cache that are parsed in one second, with a burst of
        /// `cache_entries`. Beyond it `device.class` is `unknown`.
        misses_per_second_max: u32 = 1_000
            => key("user_agents.misses_per_second_max", Live, number(1..=100_000)),
    }
}
