//! New profiles a second of one client address: what a flood of made-up identifiers is held to, so
//! that it fills neither memory nor disk. Asked by the core, which alone knows what is new.

use std::net::IpAddr;

use super::{AddressRate, Charge};
use crate::catalog::Source;
use crate::core::Newcomers;

/// What one request may make.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct NewProfiles<'t>(Charge<'t>);

impl<'t> NewProfiles<'t> {
    pub(in crate::edge) fn of(rate: &'t AddressRate, source: &Source, address: IpAddr) -> Self {
        Self(Charge::of(rate, source, address))
    }
}

impl Newcomers for NewProfiles<'_> {
    fn take(&self) -> Result<(), u32> {
        self.0.take().map_err(|limited| limited.retry_after_s)
    }
}
