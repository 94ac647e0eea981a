//! The catalog as the edge reads it: sources, found by their write key. Rebuilt whole on a catalog
//! change and swapped in; never edited in place.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::limits::SourceRate;
use crate::catalog::{Catalog, Source};

/// A source with what it has sent of late.
#[derive(Debug)]
pub(super) struct Sender {
    /// The source.
    pub(super) source: Source,
    /// Its `rate_limit`.
    pub(super) rate: Option<Arc<SourceRate>>,
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

    /// The sources of the next catalog; a source whose rate limit stays keeps what it has used.
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
                source: source.clone(),
            }));
            runtime.by_key.entry(hash).or_default().push(index);
        }
        runtime
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::fake::web_source;

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
}
