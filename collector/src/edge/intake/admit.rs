//! Whether a request may come in at all. Its head alone decides, so that a refusal costs little.

use std::net::IpAddr;

use bytes::Bytes;

use super::chain::Head;
use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::body::Buffered;
use crate::edge::forwarded::Client;
use crate::edge::limits::{Budget, Holder};
use crate::edge::metrics::EdgeMetrics;
use crate::edge::refusal::Refusal;
use crate::edge::route::Route;
use crate::edge::terms::Terms;

/// A request that is let in, with what it takes up while it is in work.
pub(super) struct Admitted<'m> {
    pub(super) client: Client<'m>,
    /// Empty until it is read.
    pub(super) body: Bytes,
    /// What its address may still send, where it is limited.
    pub(super) budget: Option<Budget>,
    pub(super) buffered: Buffered<'m>,
    /// Whose memory the answer will be.
    pub(super) holder: Holder<'m>,
    /// None where no limit holds.
    pub(super) place: Option<InFlight<'m>>,
}

impl<A: Accept> Edge<A> {
    /// Refuses by the measured delay, then by the address' rate, then by the requests in work.
    pub(super) fn admit<'t>(
        &'t self,
        head: &Head<'t>,
        route: Route,
    ) -> Result<Admitted<'t>, Refusal> {
        let (terms, channel) = (head.terms, head.channel);
        let admitted = if route.carries_events() && !self.admission.admits(channel.waited_ms) {
            Err(Refusal::Behind)
        } else {
            let client = terms.proxies.client(channel, head.parts);
            let within_limits = if route.is_limited() {
                self.within_limits(terms, client.ip)
            } else {
                Ok((None, None))
            };
            let holder = Holder::new(&self.held, &terms.proxies, client.ip);
            within_limits.map(|(budget, place)| Admitted {
                client,
                body: Bytes::new(),
                budget,
                buffered: Buffered::new(&self.metrics.buffered_bytes, terms.held_max, Some(holder)),
                holder,
                place,
            })
        };
        admitted.inspect_err(|refusal| self.metrics.limits.refused(refusal))
    }

    /// What its rate leaves to an address, and a place among the requests in work.
    fn within_limits<'t>(
        &'t self,
        terms: &Terms,
        address: IpAddr,
    ) -> Result<(Option<Budget>, Option<InFlight<'t>>), Refusal> {
        let budget = terms.address_rate.take(address);
        let budget = budget.map_err(Refusal::AddressRate)?;
        let place = InFlight::enter(&self.metrics, terms.in_flight_max);
        Ok((budget, Some(place.ok_or(Refusal::Busy)?)))
    }
}

/// A place among the requests in work.
pub(super) struct InFlight<'m>(&'m EdgeMetrics);

impl<'m> InFlight<'m> {
    fn enter(metrics: &'m EdgeMetrics, requests_max: usize) -> Option<Self> {
        let before = metrics.requests_in_flight.inc();
        let place = Self(metrics);
        usize::try_from(before)
            .is_ok_and(|before| before < requests_max)
            .then_some(place)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.requests_in_flight.dec();
    }
}
