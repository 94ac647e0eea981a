//! The catalog as the edge reads it: sources, found by their write key. Rebuilt whole on a catalog
//! change and swapped in; never edited in place.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::catalog::{Catalog, Source};

/// Sources by key.
#[derive(Debug, Default)]
pub struct RuntimeCatalog {
    sources: Vec<Arc<Source>>,
    /// Keyed by a randomly seeded hash of the write key: how long a look-up takes says nothing
    /// about the keys. The candidates are then compared in constant time.
    by_key: HashMap<u64, Vec<usize>>,
    hasher: RandomState,
}

impl RuntimeCatalog {
    /// The sources of this catalog.
    #[must_use]
    pub fn new(catalog: &Catalog) -> Self {
        let mut runtime = Self::default();
        for source in &catalog.sources {
            let hash = runtime.hasher.hash_one(source.write_key.as_bytes());
            let index = runtime.sources.len();
            runtime.sources.push(Arc::new(source.clone()));
            runtime.by_key.entry(hash).or_default().push(index);
        }
        runtime
    }

    /// The source with this write key. An empty key never matches.
    #[must_use]
    pub fn source_of(&self, key: &[u8]) -> Option<&Arc<Source>> {
        if key.is_empty() {
            return None;
        }
        self.by_key
            .get(&self.hasher.hash_one(key))?
            .iter()
            .map(|index| &self.sources[*index])
            .find(|source| bool::from(source.write_key.as_bytes().ct_eq(key)))
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
        assert_eq!(catalog.source_of(b"crm-key").unwrap().name, "crm");
        for wrong in [&b""[..], b"crm-ke", b"crm-key ", b"CRM-KEY", b"\xff"] {
            assert!(catalog.source_of(wrong).is_none());
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
        assert!(catalog.source_of(b"").is_none());
    }
}
