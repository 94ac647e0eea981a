//! What one client address has at once, connections, requests or bytes, so that one cannot take the
//! places of all. Whom the limit is for is the caller's to say: connections of trusted proxies are everybody's.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::AddressKey;

/// Counts them.
#[derive(Clone, Debug, Default)]
pub(in crate::edge) struct PerAddress {
    taken: Arc<DashMap<AddressKey, usize>>,
}

/// One of an address's places, or several; given back when dropped. The default one is beside all
/// limits.
#[derive(Debug, Default)]
pub(in crate::edge) struct Place(Option<Taken>);

#[derive(Debug)]
struct Taken {
    of: PerAddress,
    address: AddressKey,
    amount: usize,
}

impl PerAddress {
    /// One more place for `address`, of `max`; None where it has as many as it may.
    pub(in crate::edge) fn enter(&self, address: IpAddr, max: NonZeroU32) -> Option<Place> {
        let mut place = self.none(address);
        let max = usize::try_from(max.get()).unwrap_or(usize::MAX);
        place.take(1, max).then_some(place)
    }

    /// Nothing yet of what `address` may have.
    pub(in crate::edge) fn none(&self, address: IpAddr) -> Place {
        Place(Some(Taken {
            of: self.clone(),
            address: address.into(),
            amount: 0,
        }))
    }
}

impl Place {
    /// Takes so much more. False: the address would have more than `max`, and nothing is taken.
    pub(in crate::edge) fn take(&mut self, amount: usize, max: usize) -> bool {
        self.take_where(amount, |all, _others| all <= max)
    }

    /// As [`Self::take`], but always where this is the only one of its address: a single request finds
    /// room on an idle gateway, however large the settings allow it to be.
    pub(in crate::edge) fn take_beside_others(&mut self, amount: usize, max: usize) -> bool {
        self.take_where(amount, |all, others| others == 0 || all <= max)
    }

    /// `fits` is asked with what the address would have, and what others have of that.
    fn take_where(&mut self, amount: usize, fits: impl FnOnce(usize, usize) -> bool) -> bool {
        let Some(taken) = &mut self.0 else {
            return true;
        };
        let entry = taken.of.taken.entry(taken.address);
        let before = match &entry {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(_) => 0,
        };
        let all = before.saturating_add(amount);
        if !fits(all, before.saturating_sub(taken.amount)) {
            return false;
        }
        if all > 0 {
            entry.insert(all);
        }
        taken.amount += amount;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(taken) = self.0.take().filter(|taken| taken.amount > 0) else {
            return;
        };
        if let Entry::Occupied(mut entry) = taken.of.taken.entry(taken.address) {
            if *entry.get() > taken.amount {
                *entry.get_mut() -= taken.amount;
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

    #[test]
    fn a_single_one_always_fits() {
        let limit = PerAddress::default();
        let here = IpAddr::from([203, 0, 113, 1]);
        let (mut first, mut second) = (limit.none(here), limit.none(here));
        assert!(first.take_beside_others(11, 10) && first.take_beside_others(9, 10));
        assert!(!second.take_beside_others(1, 10));
        drop(first);
        assert!(second.take_beside_others(30, 10));
        drop(second);
        assert!(limit.taken.is_empty());
    }

    #[test]
    fn bytes_are_taken_up_to_the_limit() {
        let limit = PerAddress::default();
        let here = IpAddr::from([203, 0, 113, 1]);
        let (mut first, mut second) = (limit.none(here), limit.none(here));
        assert!(first.take(6, 10) && first.take(2, 10));
        assert!(!second.take(3, 10) && !second.take(0, 7) && second.take(0, 8));
        assert!(second.take(2, 10));
        drop(first);
        assert!(second.take(8, 10) && !second.take(1, 10));
        assert!(Place::default().take(11, 10));
        drop(second);
        assert!(limit.taken.is_empty());
    }
}
