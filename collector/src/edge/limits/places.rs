//! Open connections of one client address, so that one cannot take the places of all. Addresses of
//! trusted proxies, whose connections are everybody's, are the caller's to leave out.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::AddressKey;

/// Counts them, where there is a limit.
#[derive(Clone, Debug)]
pub(in crate::edge) struct PerAddress {
    max: Option<NonZeroU32>,
    open: Arc<DashMap<AddressKey, u32>>,
}

/// A connection's place; given back when dropped. The default one is beside all limits.
#[derive(Debug, Default)]
pub(in crate::edge) struct Place(Option<(Arc<DashMap<AddressKey, u32>>, AddressKey)>);

impl PerAddress {
    pub(in crate::edge) fn new(max: Option<NonZeroU32>) -> Self {
        Self {
            max,
            open: Arc::default(),
        }
    }

    /// A place for one more connection of `address`; None where it has as many as it may.
    pub(in crate::edge) fn enter(&self, address: IpAddr) -> Option<Place> {
        let Some(max) = self.max else {
            return Some(Place::default());
        };
        let key = AddressKey::from(address);
        let mut open = self.open.entry(key).or_insert(0);
        if *open >= max.get() {
            return None;
        }
        *open += 1;
        Some(Place(Some((Arc::clone(&self.open), key))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((open, key)) = self.0.take() else {
            return;
        };
        if let Entry::Occupied(mut entry) = open.entry(key) {
            if *entry.get() > 1 {
                *entry.get_mut() -= 1;
            } else {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let limit = PerAddress::new(NonZeroU32::new(2));
        let here = IpAddr::from([203, 0, 113, 1]);
        let first = limit.enter(here).unwrap();
        let second = limit.enter(here).unwrap();
        assert!(limit.enter(here).is_none());
        assert!(limit.enter(IpAddr::from([203, 0, 113, 2])).is_some());
        drop(first);
        assert!(limit.enter(here).is_some());
        drop(second);
        assert!(
            limit.open.is_empty(),
            "no address is remembered for nothing"
        );
    }
}
