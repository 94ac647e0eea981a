//! Memory that requests and answers hold, of all clients and of one address. Small ones are not charged
//! to their address: `edge.in_flight_max` bounds them.

use std::net::IpAddr;

use super::{PerAddress, Place};

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

/// A client address that is limited, and where it is charged.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Holder<'m> {
    addresses: &'m PerAddress,
    address: IpAddr,
}

impl<'m> Holder<'m> {
    pub(in crate::edge) const fn new(addresses: &'m PerAddress, address: IpAddr) -> Self {
        Self { addresses, address }
    }

    /// Nothing held yet.
    pub(in crate::edge) fn place(self) -> Place {
        self.addresses.none(self.address)
    }
}
