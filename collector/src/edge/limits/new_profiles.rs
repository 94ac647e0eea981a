//! New profiles a second of one client address: what a flood of made-up identifiers is held to, so
//! that it fills neither memory nor disk. Asked by the core, which alone knows what is new.

use std::net::IpAddr;

use super::AddressRate;
use crate::catalog::{Source, SourceKind};
use crate::core::Newcomers;

/// What one request may make.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct NewProfiles<'t> {
    rate: &'t AddressRate,
    /// None: it is not charged.
    address: Option<IpAddr>,
}

impl<'t> NewProfiles<'t> {
    /// A server's source speaks for all its visitors, and has a secret key. What comes over loopback
    /// comes from this machine, or from a proxy that names no client.
    pub(in crate::edge) fn of(rate: &'t AddressRate, source: &Source, address: IpAddr) -> Self {
        let charged = source.kind != SourceKind::Server && !address.to_canonical().is_loopback();
        Self {
            rate,
            address: charged.then_some(address),
        }
    }
}

impl Newcomers for NewProfiles<'_> {
    fn take(&self) -> Result<(), u32> {
        let Some(address) = self.address else {
            return Ok(());
        };
        match self.rate.take(address) {
            Ok(_) => Ok(()),
            Err(limited) => Err(limited.retry_after_s),
        }
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
            let newcomers = NewProfiles::of(&rate, source, address.into());
            (0..10).filter(|_| newcomers.take().is_ok()).count()
        };
        assert_eq!(taken(&source, [203, 0, 113, 1]), 6);
        assert_eq!(taken(&source, [203, 0, 113, 2]), 6, "each for itself");
        assert_eq!(taken(&source, [127, 0, 0, 1]), 10);
        source.kind = SourceKind::Server;
        assert_eq!(taken(&source, [203, 0, 113, 1]), 10);
    }
}
