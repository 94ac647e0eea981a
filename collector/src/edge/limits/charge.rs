//! Which client address a request is charged to, and what is taken off its rate.

use std::net::IpAddr;

use super::{AddressRate, Limited};
use crate::catalog::{Source, SourceKind};

/// One request's part of an address rate.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Charge<'t> {
    rate: &'t AddressRate,
    /// None: it is not charged.
    address: Option<IpAddr>,
}

impl<'t> Charge<'t> {
    /// A server's source speaks for all its visitors, and has a secret key. What comes over loopback
    /// comes from this machine, or from a proxy that names no client.
    pub(in crate::edge) fn of(rate: &'t AddressRate, source: &Source, address: IpAddr) -> Self {
        let charged = source.kind != SourceKind::Server && !address.to_canonical().is_loopback();
        Self {
            rate,
            address: charged.then_some(address),
        }
    }

    /// Whether anything is charged.
    pub(in crate::edge) fn is_limited(&self) -> bool {
        self.address.is_some() && self.rate.limit().is_some()
    }

    /// Takes one.
    ///
    /// # Errors
    /// [`Limited`]
    pub(in crate::edge) fn take(&self) -> Result<(), Limited> {
        self.address
            .map_or(Ok(()), |address| self.rate.take(address).map(|_left| ()))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::edge::fake::web_source;

    #[test]
    fn an_address_has_a_burst_and_a_server_and_loopback_no_limit() {
        let rate = AddressRate::with_burst(NonZeroU32::new(2), 3);
        let mut source = web_source();
        let taken = |source: &Source, address: [u8; 4]| {
            let charge = Charge::of(&rate, source, address.into());
            (0..10).filter(|_| charge.take().is_ok()).count()
        };
        assert_eq!(taken(&source, [203, 0, 113, 1]), 6);
        assert_eq!(taken(&source, [203, 0, 113, 2]), 6, "each for itself");
        assert_eq!(taken(&source, [127, 0, 0, 1]), 10);
        source.kind = SourceKind::Server;
        assert_eq!(taken(&source, [203, 0, 113, 1]), 10);
    }
}
