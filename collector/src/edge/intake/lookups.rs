//! What enrichment looks up for the events of one request. Most of them have the request's own
//! `User-Agent`, which is looked up once for all.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::USER_AGENT;
use tidegate_event::{Device, Geo, Timestamp};

use crate::edge::request::RawHit;
use crate::pipeline::enrich::{DeviceLookup, Enrichment, GeoLookup, USER_AGENT_BYTES_MAX};

/// One request's look-ups.
pub(super) struct RequestLookups<'a, 'e> {
    all: &'e dyn Enrichment,
    /// The request's `User-Agent`, as much of it as is looked up.
    user_agent: Option<&'a str>,
    /// What it says, once an event has asked.
    device: OnceCell<Arc<Device>>,
}

impl<'a, 'e> RequestLookups<'a, 'e> {
    pub(super) fn of(all: &'e dyn Enrichment, hit: &RawHit<'a>) -> Self {
        let user_agent = hit.header(USER_AGENT);
        Self {
            all,
            user_agent: user_agent
                .map(|text| &text[..text.floor_char_boundary(USER_AGENT_BYTES_MAX)]),
            device: OnceCell::new(),
        }
    }
}

impl GeoLookup for RequestLookups<'_, '_> {
    fn lookup(&self, ip: IpAddr) -> Geo {
        self.all.lookup(ip)
    }
}

impl DeviceLookup for RequestLookups<'_, '_> {
    fn device(&self, user_agent: &str, now: Timestamp) -> Arc<Device> {
        let look = || self.all.device(user_agent, now);
        if self.user_agent == Some(user_agent) {
            Arc::clone(self.device.get_or_init(look))
        } else {
            look()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::edge::fake;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl GeoLookup for Counting {
        fn lookup(&self, _ip: IpAddr) -> Geo {
            Geo::default()
        }
    }

    impl DeviceLookup for Counting {
        fn device(&self, user_agent: &str, _now: Timestamp) -> Arc<Device> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Arc::new(Device {
                browser: Some(user_agent.into()),
                ..Device::default()
            })
        }
    }

    #[test]
    fn a_requests_own_user_agent_is_looked_up_once() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("own"));
        let counting = Counting::default();
        let hit = fake::raw_hit(&headers);
        let lookups = RequestLookups::of(&counting, &hit);
        for (user_agent, looked_up) in [
            ("own", 1),
            ("own", 1),
            ("other", 2),
            ("other", 3),
            ("own", 3),
        ] {
            let found = lookups.device(user_agent, Timestamp(0));
            assert_eq!(found.browser.as_deref(), Some(user_agent));
            assert_eq!(counting.0.load(Ordering::Relaxed), looked_up);
        }
    }
}
