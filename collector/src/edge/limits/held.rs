//! Memory that requests and answers hold, of all clients and of one address. Small ones are not charged
//! to their address: `edge.in_flight_max` bounds them.

use std::net::IpAddr;

use super::{PerAddress, Place};
use crate::edge::forwarded::Proxies;

/// Bytes of a request or an answer that is not small.
pub(in crate::edge) const LARGE_MIN: usize = 4_096;

/// Bytes that may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct HeldMax {
    pub(in crate::edge) all: usize,
    pub(in crate::edge) of_address: usize,
}

impl HeldMax {
    /// Half of each: for what clients may keep waiting.
    pub(in crate::edge) const fn half(self) -> Self {
        Self {
            all: self.all / 2,
            of_address: self.of_address / 2,
        }
    }
}

/// Whose memory it is. Looked into only for what is not small: most requests pay nothing for it.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Holder<'m> {
    addresses: &'m PerAddress,
    proxies: &'m Proxies,
    address: IpAddr,
}

impl<'m> Holder<'m> {
    pub(in crate::edge) const fn new(
        addresses: &'m PerAddress,
        proxies: &'m Proxies,
        address: IpAddr,
    ) -> Self {
        Self {
            addresses,
            proxies,
            address,
        }
    }

    /// The address, where it is limited. What comes from a trusted proxy or over loopback, and names
    /// no client, is everybody's.
    pub(in crate::edge) fn limited(self) -> Option<IpAddr> {
        let own = self.address;
        let is_shared = own.to_canonical().is_loopback() || self.proxies.is_trusted(own);
        (!is_shared).then_some(own)
    }

    /// Nothing held yet.
    pub(in crate::edge) fn place(self) -> Place {
        let limited = self.limited();
        limited.map_or_else(Place::default, |own| self.addresses.none(own))
    }
}
