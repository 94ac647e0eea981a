//! The catalog as the edge reads it: sources, found by their write key. Rebuilt whole on a catalog
//! change and swapped in; never edited in place.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use subtle::ConstantTimeEq;
use tidegate_event::Outcome;

use super::limits::SourceRate;
use crate::catalog::{Catalog, Source};
use crate::tracked::{Ended, Outcomes};

/// The label of events without a known source. A source of that name shares it.
const NO_SOURCE: &str = "none";

/// A source with what it has sent of late.
#[derive(Debug)]
pub(super) struct Sender {
    /// The source.
    pub(super) source: Source,
    /// Its `rate_limit`.
    pub(super) rate: Option<Arc<SourceRate>>,
    /// How its events ended.
    pub(super) ended: Arc<Ended>,
}

/// Sources by key.
#[derive(Debug, Default)]
pub struct RuntimeCatalog {
    senders: Vec<Arc<Sender>>,
    /// Keyed by a randomly seeded hash of the write key: how long a look-up takes says nothing
    /// about the keys. The candidates are then compared in constant time.
    by_key: HashMap<u64, Vec<usize>>,
    hasher: RandomState,
}

impl RuntimeCatalog {
    /// The sources of this catalog.
    #[must_use]
    pub fn new(catalog: &Catalog) -> Self {
        Self::default().followed_by(catalog)
    }

    /// The sources of the next catalog; a source whose rate limit stays keeps what it has used, and
    /// one whose name stays its counts.
    #[must_use]
    pub fn followed_by(&self, catalog: &Catalog) -> Self {
        let mut runtime = Self::default();
        for source in &catalog.sources {
            let hash = runtime.hasher.hash_one(source.write_key.as_bytes());
            let index = runtime.senders.len();
            runtime.senders.push(Arc::new(Sender {
                rate: source
                    .rate_limit
                    .map(|limit| self.rate(&source.name, limit)),
                ended: self.ended(&source.name),
                source: source.clone(),
            }));
            runtime.by_key.entry(hash).or_default().push(index);
        }
        runtime
    }

    fn ended(&self, name: &str) -> Arc<Ended> {
        let mut known = self.senders.iter().filter(|s| s.source.name == name);
        let ended = known.next().map(|sender| Arc::clone(&sender.ended));
        ended.unwrap_or_default()
    }

    fn rate(&self, name: &str, limit: NonZeroU32) -> Arc<SourceRate> {
        let mut known = self.senders.iter().filter(|s| s.source.name == name);
        let rate = known.find_map(|sender| sender.rate.as_ref().filter(|r| r.limit() == limit));
        rate.map_or_else(|| Arc::new(SourceRate::new(limit)), Arc::clone)
    }

    /// The source with this write key. An empty key never matches.
    pub(super) fn sender_of(&self, key: &[u8]) -> Option<&Arc<Sender>> {
        if key.is_empty() {
            return None;
        }
        self.by_key
            .get(&self.hasher.hash_one(key))?
            .iter()
            .map(|index| &self.senders[*index])
            .find(|sender| bool::from(sender.source.write_key.as_bytes().ct_eq(key)))
    }
}

/// Outcomes by source. The sources are those of the catalog in force, and `none`: one that is
/// removed takes its counts along, so the number of series is bounded by the catalog.
#[derive(Debug)]
pub struct SourceMetrics {
    catalog: Arc<ArcSwap<RuntimeCatalog>>,
    outcomes: Arc<Outcomes>,
}

impl SourceMetrics {
    /// Reads both when asked.
    #[must_use]
    pub fn new(catalog: Arc<ArcSwap<RuntimeCatalog>>, outcomes: Arc<Outcomes>) -> Self {
        Self { catalog, outcomes }
    }

    fn count(&self, catalog: &RuntimeCatalog, source: &str, outcome: Outcome) -> u64 {
        let mut senders = catalog.senders.iter();
        let sender = senders.find(|sender| sender.source.name == source);
        let own = sender.map_or(0, |sender| sender.ended.in_outcome(outcome));
        let unknown = || self.outcomes.of_none().in_outcome(outcome);
        own + if source == NO_SOURCE { unknown() } else { 0 }
    }
}

impl Collector for SourceMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut events = encoder.encode_descriptor(
            "tidegate_source_events",
            "Events by source and outcome, for the sources of the catalog in force; none where a request was refused before its source was known",
            None,
            MetricType::Counter,
        )?;
        let catalog = self.catalog.load();
        let known = || catalog.senders.iter().map(|sender| &*sender.source.name);
        let none = [NO_SOURCE].into_iter();
        let none = none.filter(|none| known().all(|source| source != *none));
        for source in known().chain(none) {
            for outcome in Outcome::ALL {
                let labels = [("source", source), ("outcome", outcome.as_str())];
                let count = ConstCounter::new(self.count(&catalog, source, outcome));
                count.encode(events.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::edge::fake::web_source;
    use crate::tracked::Tracked;

    #[test]
    fn each_source_is_found_by_its_whole_key_only() {
        let mut shop = web_source();
        shop.write_key = "shop-key".to_owned();
        let mut crm = web_source();
        crm.name = "crm".to_owned();
        crm.write_key = "crm-key".to_owned();
        let catalog = RuntimeCatalog::new(&Catalog {
            sources: vec![shop, crm],
            ..Catalog::default()
        });
        assert_eq!(catalog.sender_of(b"crm-key").unwrap().source.name, "crm");
        for wrong in [&b""[..], b"crm-ke", b"crm-key ", b"CRM-KEY", b"\xff"] {
            assert!(catalog.sender_of(wrong).is_none());
        }
    }

    #[test]
    fn an_empty_write_key_in_the_catalog_opens_nothing() {
        let mut open = web_source();
        open.write_key = String::new();
        let catalog = RuntimeCatalog::new(&Catalog {
            sources: vec![open],
            ..Catalog::default()
        });
        assert!(catalog.sender_of(b"").is_none());
    }

    #[test]
    fn the_next_catalog_gives_a_source_no_second_budget_unless_its_limit_changed() {
        let mut shop = web_source();
        shop.rate_limit = NonZeroU32::new(2);
        let with = |source: &Source| Catalog {
            sources: vec![source.clone()],
            ..Catalog::default()
        };
        let first = RuntimeCatalog::new(&with(&shop));
        let same = first.followed_by(&with(&shop));
        let rate = |catalog: &RuntimeCatalog| catalog.senders[0].rate.clone().unwrap();
        assert!(Arc::ptr_eq(&rate(&first), &rate(&same)));
        shop.rate_limit = NonZeroU32::new(3);
        let changed = first.followed_by(&with(&shop));
        assert_eq!(rate(&changed).limit().get(), 3);
    }

    #[test]
    fn the_sources_of_the_catalog_in_force_are_counted() {
        let with = |name: &str| {
            let mut source = web_source();
            source.name = name.to_owned();
            Catalog {
                sources: vec![source],
                ..Catalog::default()
            }
        };
        let exposed = |metrics: SourceMetrics| {
            let mut registry = Registry::default();
            registry.register_collector(Box::new(metrics));
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let first = RuntimeCatalog::new(&with("shop"));
        let outcomes = Arc::new(Outcomes::default());
        let ended = Arc::clone(&first.senders[0].ended);
        Tracked::received(&outcomes, 2)
            .of(&ended)
            .end_many(Outcome::Accepted, 2);
        let same = first.followed_by(&with("shop"));
        let other = same.followed_by(&with("crm"));
        let metrics = |catalog| {
            let catalog = Arc::new(ArcSwap::from_pointee(catalog));
            SourceMetrics::new(catalog, Arc::clone(&outcomes))
        };
        let text = exposed(metrics(same));
        let line = "tidegate_source_events_total{source=\"shop\",outcome=\"accepted\"} 2";
        assert!(text.contains(line), "{text}");
        assert!(
            text.contains("{source=\"none\",outcome=\"unauthorized\"} 0"),
            "{text}"
        );
        let text = exposed(metrics(other));
        assert!(!text.contains("shop"), "{text}");
        assert!(
            text.contains("{source=\"crm\",outcome=\"accepted\"} 0"),
            "{text}"
        );
    }
}
