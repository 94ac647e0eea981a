//! What was found for the user agents that are seen most, and a bound on what the others may cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use quick_cache::UnitWeighter;
use tidegate_event::{Device, Timestamp};

/// Keyed by the whole text: no two user agents are taken for each other. A text that is seen once
/// does not displace those that are seen often.
type Entries = quick_cache::sync::Cache<Box<str>, Arc<Device>, UnitWeighter, ahash::RandomState>;

/// Results by user agent, at most so many.
#[derive(Debug)]
pub(super) struct Cache {
    entries: Entries,
    misses_per_second_max: u32,
    /// A second since 1970 in the upper half, the misses within it in the lower one.
    misses: AtomicU64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// How look-ups ended.
#[derive(Clone, Debug, Default)]
pub struct CacheMetrics {
    hits: Counter,
    misses: Counter,
    limited: Counter,
}

impl CacheMetrics {
    /// Registers all of them at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let family = Family::<ResultLabel, Counter>::default();
        registry.register(
            "tidegate_user_agent_lookups",
            "User agents looked up: found in the cache, parsed, or beyond user_agents.misses_per_second_max",
            family.clone(),
        );
        let counter = |result| family.get_or_create_owned(&ResultLabel { result });
        Self {
            hits: counter("hit"),
            misses: counter("miss"),
            limited: counter("limited"),
        }
    }
}

impl Cache {
    pub(super) fn new(entries: usize, misses_per_second_max: u32) -> Self {
        let capacity = entries as u64;
        let hasher = ahash::RandomState::new();
        Self {
            entries: Entries::with(
                entries,
                capacity,
                UnitWeighter,
                hasher,
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            misses_per_second_max,
            misses: AtomicU64::new(0),
        }
    }

    /// What was found before, or what `look` finds now; beyond the bound an unknown device, which is
    /// not kept.
    pub(super) fn get(
        &self,
        user_agent: &str,
        now: Timestamp,
        metrics: &CacheMetrics,
        look: impl FnOnce() -> Device,
    ) -> Arc<Device> {
        if let Some(found) = self.entries.get(user_agent) {
            metrics.hits.inc();
            return found;
        }
        if !self.may_miss(now) {
            metrics.limited.inc();
            return Arc::default();
        }
        metrics.misses.inc();
        let found = Arc::new(look());
        self.entries.insert(user_agent.into(), Arc::clone(&found));
        found
    }

    /// Takes one miss from the second of `now`. Callers whose clocks differ by the edge of a second
    /// may begin it anew; that costs no more than one second's share.
    fn may_miss(&self, now: Timestamp) -> bool {
        let second = u64::try_from(now.0 / 1_000).unwrap_or(0) << 32;
        let max = u64::from(self.misses_per_second_max);
        let taken = self
            .misses
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |misses| {
                if misses >> 32 << 32 != second {
                    return Some(second | 1);
                }
                let count = misses & u64::from(u32::MAX);
                (count < max).then_some(misses + 1)
            });
        taken.is_ok()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
