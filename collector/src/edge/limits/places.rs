//! What one client address has at once, connections or requests, so that one cannot take the places
//! of all. Whom the limit is for is the caller's to say: connections of trusted proxies are everybody's.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::AddressKey;

/// Counts them.
#[derive(Clone, Debug, Default)]
pub(in crate::edge) struct PerAddress {
    taken: Arc<DashMap<AddressKey, u32>>,
}

/// One of an address's places; given back when dropped. The default one is beside all limits.
#[derive(Debug, Default)]
pub(in crate::edge) struct Place(Option<(Arc<DashMap<AddressKey, u32>>, AddressKey)>);

impl PerAddress {
    /// One more place for `address`, of `max`; None where it has as many as it may.
    pub(in crate::edge) fn enter(&self, address: IpAddr, max: NonZeroU32) -> Option<Place> {
        let key = AddressKey::from(address);
        let mut taken = self.taken.entry(key).or_insert(0);
        if *taken >= max.get() {
            return None;
        }
        *taken += 1;
        Some(Place(Some((Arc::clone(&self.taken), key))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((taken, key)) = self.0.take() else {
            return;
        };
        if let Entry::Occupied(mut entry) = taken.entry(key) {
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
    fn a_place_is_free_again_when_it_is_left() {
        const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();
        let limit = PerAddress::default();
        let here = IpAddr::from([203, 0, 113, 1]);
        let first = limit.enter(here, TWO).unwrap();
        let second = limit.enter(here, TWO).unwrap();
        assert!(limit.enter(here, TWO).is_none());
        assert!(limit.enter(IpAddr::from([203, 0, 113, 2]), TWO).is_some());
        drop(first);
        assert!(limit.enter(here, TWO).is_some());
        drop(second);
        assert!(
            limit.taken.is_empty(),
            "no address is remembered for nothing"
        );
    }
}
