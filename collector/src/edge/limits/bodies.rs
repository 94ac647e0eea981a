//! Requests whose body has not arrived. However slow or silent its clients are, one address may have
//! `edge.bodies_per_address_max` of them, and all together half of `edge.in_flight_max`: the other half
//! is for requests that are complete. Those whose body came with the head are never counted here.

use std::net::IpAddr;
use std::num::NonZeroU32;

use prometheus_client::metrics::gauge::Gauge;

use super::{PerAddress, Place};
use crate::edge::body::BodyError;

/// Counts them.
#[derive(Debug)]
pub(in crate::edge) struct AwaitedBodies {
    of_address: PerAddress,
    all: Gauge,
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct AwaitedMax {
    pub(in crate::edge) of_address: NonZeroU32,
    pub(in crate::edge) all: usize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(in crate::edge) struct Awaited {
    all: Gauge,
    _of_address: Place,
}

impl AwaitedBodies {
    /// None yet; `all` is where they are counted.
    pub(in crate::edge) fn new(all: &Gauge) -> Self {
        Self {
            of_address: PerAddress::default(),
            all: all.clone(),
        }
    }

    /// Waits for one more body of `address`.
    ///
    /// # Errors
    /// [`BodyError::AddressAwaited`], [`BodyError::Awaited`]
    pub(in crate::edge) fn enter(
        &self,
        address: IpAddr,
        max: AwaitedMax,
    ) -> Result<Awaited, BodyError> {
        let place = self.of_address.enter(address, max.of_address);
        let place = place.ok_or(BodyError::AddressAwaited)?;
        let before = self.all.inc();
        let awaited = Awaited {
            all: self.all.clone(),
            _of_address: place,
        };
        if usize::try_from(before).is_ok_and(|before| before < max.all) {
            Ok(awaited)
        } else {
            Err(BodyError::Awaited)
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.all.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, last])
    }

    #[test]
    fn an_address_has_its_share_and_all_together_theirs() {
        let gauge = Gauge::default();
        let bodies = AwaitedBodies::new(&gauge);
        let max = AwaitedMax {
            of_address: NonZeroU32::new(2).unwrap(),
            all: 3,
        };
        let first = bodies.enter(address(1), max).unwrap();
        let _second = bodies.enter(address(1), max).unwrap();
        let third = bodies.enter(address(1), max);
        assert_eq!(third.unwrap_err(), BodyError::AddressAwaited);
        let _other = bodies.enter(address(2), max).unwrap();
        let fourth = bodies.enter(address(3), max);
        assert_eq!(fourth.unwrap_err(), BodyError::Awaited);
        assert_eq!(gauge.get(), 3, "who is refused waits no more");
        drop(first);
        assert!(bodies.enter(address(1), max).is_ok());
    }
}
