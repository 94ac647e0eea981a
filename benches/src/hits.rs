//! The workload's events on their way through steps 1 to 4, for benches that begin behind them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tidegate_collector::catalog::Source;
use tidegate_collector::consent::{Signals, resolve};
use tidegate_collector::device::Devices;
use tidegate_collector::geo::GeoDatabases;
use tidegate_collector::identity::{CookieFacts, Placeholders, identify};
use tidegate_collector::pipeline::decode::Limits;
use tidegate_collector::pipeline::enrich::{DeviceLookup, GeoLookup, RequestFacts, enrich};
use tidegate_collector::protocols::native;
use tidegate_collector::settings::{Geoip, UserAgents};
use tidegate_event::{Device, Enriched, Geo, Hit, Timestamp};

use crate::workload::{SOURCE, WRITE_KEY, address, user_agent};

/// The gateway's own bounds.
pub const LIMITS: Limits = Limits {
    event_bytes_max: 32 << 10,
    batch_events_max: 2_500,
    members_max: 1_000,
    lent_bytes_max: 16 << 20,
};

/// What enrichment looks up.
#[derive(Debug)]
pub struct Known {
    geo: GeoDatabases,
    devices: Devices,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            geo: geo(),
            devices: devices(),
        }
    }
}

impl GeoLookup for Known {
    fn lookup(&self, ip: IpAddr) -> Geo {
        self.geo.lookup(ip)
    }
}

impl DeviceLookup for Known {
    fn device(&self, user_agent: &str, now: Timestamp) -> Arc<Device> {
        self.devices.device(user_agent, now)
    }
}

/// Everything that steps 1 to 4 need beside the body.
#[derive(Debug)]
pub struct Steps {
    source: Source,
    known: Known,
    user_agents: Vec<String>,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            source: source(),
            known: Known::default(),
            user_agents: (0..64).map(user_agent).collect(),
        }
    }
}

impl Steps {
    /// The one source.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Decodes a body with one event and takes it through consent, identify and enrich; `at`
    /// chooses user agent and address.
    #[must_use]
    pub fn take<'a>(&'a self, body: &'a [u8], at: usize, now: Timestamp) -> Enriched<'a> {
        let facts = RequestFacts {
            received_at: now,
            client_ip: Some(IpAddr::V4(address(at % 1_000))),
            user_agent: Some(Cow::Borrowed(
                &self.user_agents[at % self.user_agents.len()],
            )),
            referer: Some(Cow::Borrowed("https://shop.example.com/")),
            from_back_end: false,
        };
        enriched(decode(body), &self.source, &facts, &self.known)
    }
}

/// The hit of a body with one event: step 1.
#[must_use]
pub fn decode(body: &[u8]) -> Hit<'_> {
    let envelope = native::read(body, &LIMITS).expect("the workload is JSON");
    let event = envelope.decode().next().expect("one event");
    event.hit.expect("the workload is good")
}

/// A hit after consent, identify and enrich: steps 2 to 4.
#[must_use]
pub fn enriched<'a>(
    hit: Hit<'a>,
    source: &Source,
    facts: &RequestFacts<'a>,
    known: &(impl GeoLookup + DeviceLookup),
) -> Enriched<'a> {
    let consented = resolve(hit, &Signals::default(), source).expect("granted");
    let cookie = CookieFacts {
        brought: Some("00112233445566778899aabbccddeeff"),
        // More than one: the cookie stays apart from the anonymousId.
        distinct_anonymous_ids_in_request: 2,
        allowed: true,
    };
    let (identified, _) = identify(consented, &cookie, &Placeholders::default(), &mut || 7);
    enrich(identified, facts, known)
}

/// The data for user agents that a build has.
#[must_use]
pub fn devices() -> Devices {
    Devices::load(&UserAgents::default()).expect("the embedded data is good")
}

/// The databases of the fixtures.
#[must_use]
pub fn geo() -> GeoDatabases {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/geoip");
    let geo = GeoDatabases::load(&Geoip {
        city: Some(fixtures.join("GeoLite2-City-Test.mmdb")),
        asn: Some(fixtures.join("GeoLite2-ASN-Test.mmdb")),
    });
    geo.expect("the fixtures are good")
}

/// The benches' web source.
#[must_use]
pub fn source() -> Source {
    Source {
        conversions: vec!["Order Completed".to_owned()],
        ..Source::web(SOURCE, WRITE_KEY)
    }
}
