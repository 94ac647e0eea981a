//! What a user agent says of its device, system and browser. The knowledge stands in two data sets:
//! uap-core's regexes name them, the list of crawlers says which are bots. Both are embedded, and
//! replaced by the files that `[user_agents]` names.
//!
//! A regex set costs tens of microseconds, so results are cached by the whole text, and what misses
//! may cost in one second is bounded.

mod data;
mod class;
mod cache;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_event::{Device, Timestamp};

use crate::fingerprint::Fingerprint;
use crate::pipeline::enrich::DeviceLookup;
use crate::settings::UserAgents;
use cache::Cache;
pub use cache::CacheMetrics;
use data::Data;
pub use data::DataError;

/// The data sets in use, with the cache of what they said.
#[derive(Debug)]
pub struct Devices {
    current: ArcSwap<Loaded>,
    metrics: CacheMetrics,
}

/// Checked data sets, not yet in use.
#[derive(Debug)]
pub struct Loaded {
    settings: UserAgents,
    /// Looked at before they were read: a change in between is seen the next time.
    files: [Option<(PathBuf, Option<Fingerprint>)>; 2],
    data: Arc<Data>,
    cache: Cache,
}

impl Devices {
    /// Reads and checks the configured files, or the embedded data. Blocks for about half a second.
    ///
    /// # Errors
    /// [`DataError`]
    pub fn load(settings: &UserAgents) -> Result<Self, DataError> {
        let files = files(settings);
        let data = Arc::new(Data::read(settings)?);
        Ok(Self {
            current: ArcSwap::from_pointee(Loaded::new(settings, files, data)),
            metrics: CacheMetrics::default(),
        })
    }

    /// Counts in these metrics.
    #[must_use]
    pub fn counting(mut self, metrics: CacheMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Reads and checks the files again, where the settings or the files themselves changed since
    /// those in use were read; None where they did not. Blocks as [`Self::load`] does.
    ///
    /// # Errors
    /// [`DataError`]; the data in use stays.
    pub fn prepare(&self, settings: &UserAgents) -> Result<Option<Loaded>, DataError> {
        let current = self.current.load();
        let files = files(settings);
        if current.settings == *settings && current.files == files {
            return Ok(None);
        }
        let data = if current.files == files {
            Arc::clone(&current.data)
        } else {
            Arc::new(Data::read(settings)?)
        };
        Ok(Some(Loaded::new(settings, files, data)))
    }

    /// Puts data sets into use, with an empty cache.
    pub fn put(&self, loaded: Loaded) {
        self.current.store(Arc::new(loaded));
    }
}

impl Loaded {
    fn new(
        settings: &UserAgents,
        files: [Option<(PathBuf, Option<Fingerprint>)>; 2],
        data: Arc<Data>,
    ) -> Self {
        Self {
            settings: settings.clone(),
            files,
            data,
            cache: Cache::new(settings.cache_entries, settings.misses_per_second_max),
        }
    }
}

impl DeviceLookup for Devices {
    fn device(&self, user_agent: &str, now: Timestamp) -> Arc<Device> {
        let current = self.current.load();
        let look = || class::device(&current.data, user_agent);
        current.cache.get(user_agent, now, &self.metrics, look)
    }
}

/// The embedded data, compiled once for all tests of a process.
#[cfg(test)]
pub(crate) fn embedded() -> &'static Devices {
    static EMBEDDED: std::sync::LazyLock<Devices> = std::sync::LazyLock::new(|| {
        Devices::load(&UserAgents::default()).expect("the embedded data is good")
    });
    &EMBEDDED
}

/// Every configured file that would be refused.
#[must_use]
pub fn unusable(settings: &UserAgents) -> Vec<DataError> {
    let UserAgents {
        regexes, crawlers, ..
    } = settings.clone();
    let alone = |regexes, crawlers| UserAgents {
        regexes,
        crawlers,
        ..UserAgents::default()
    };
    [alone(regexes, None), alone(None, crawlers)]
        .iter()
        .filter(|alone| alone.regexes.is_some() || alone.crawlers.is_some())
        .filter_map(|alone| Data::read(alone).err())
        .collect()
}

fn files(settings: &UserAgents) -> [Option<(PathBuf, Option<Fingerprint>)>; 2] {
    [&settings.regexes, &settings.crawlers].map(|path| {
        let path = path.as_ref()?;
        Some((path.clone(), Fingerprint::of(path)))
    })
}
