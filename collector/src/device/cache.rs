//! What was found for the user agents that are seen most, and a bound on what the others may cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

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
    /// Between two misses, where they come without end.
    interval_ns: i64,
    /// What may come at once: as many as the cache holds, for its first filling.
    burst_ns: i64,
    /// Until when the misses so far have used up the time.
    taken_ns: AtomicI64,
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
        let interval_ns = 1_000_000_000 / i64::from(misses_per_second_max.max(1));
        Self {
            entries: Entries::with(
                entries,
                capacity,
                UnitWeighter,
                hasher,
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            interval_ns,
            burst_ns: interval_ns.saturating_mul(i64::try_from(entries).unwrap_or(i64::MAX)),
            taken_ns: AtomicI64::new(i64::MIN),
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

    /// Takes one miss from what has come together since the last ones: the generic cell rate
    /// algorithm, in nanoseconds.
    fn may_miss(&self, now: Timestamp) -> bool {
        let now = now.0.saturating_mul(1_000_000);
        let take = |taken: i64| {
            let taken = taken.max(now.saturating_sub(self.burst_ns)) + self.interval_ns;
            (taken <= now).then_some(taken)
        };
        let relaxed = Ordering::Relaxed;
        self.taken_ns.fetch_update(relaxed, relaxed, take).is_ok()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
