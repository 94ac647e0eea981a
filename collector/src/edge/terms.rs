//! The settings that a reload replaces, as one value: a request sees one state of them from head to
//! answer. Settings of sockets and connections, which stay, are in [`super::listening`].

use std::num::NonZeroU32;
use std::sync::Arc;

use http::HeaderValue;

use super::cookie::CookieRule;
use super::forwarded::Proxies;
use super::limits::{AddressRate, AwaitedMax, HeldMax};
use super::route::Routes;
use super::tag::Tags;
use crate::identity::Placeholders;
use crate::pipeline::decode::Limits;
use crate::settings::Settings;

/// New profiles that an address may make at once: what its rate brings in so many seconds.
const NEW_PROFILES_BURST_S: u32 = 60;
/// Batches of one address that come at once fit in.
const ADDRESS_EVENTS_BURST_S: u32 = 2;

/// One state of them. Every field is made of settings that are taken by a reload.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) routes: Routes,
    pub(super) tags: Tags,
    pub(super) proxies: Proxies,
    pub(super) cookie: CookieRule,
    /// Identifiers that are dropped.
    pub(super) placeholders: Placeholders,
    /// Of one event and one batch.
    pub(super) limits: Limits,
    pub(super) body_bytes_max: usize,
    pub(super) body_timeout_ms: u64,
    pub(super) in_flight_max: usize,
    pub(super) awaited_max: AwaitedMax,
    /// Of bodies and events read from them; half of it is for answers beside them.
    pub(super) held_max: HeldMax,
    pub(super) address_rate: Arc<AddressRate>,
    /// Events a second of one address.
    pub(super) address_events: Arc<AddressRate>,
    /// New profiles a second of one address.
    pub(super) new_profiles: Arc<AddressRate>,
    /// What answers over TLS say of HTTP/3.
    pub(super) alt_svc: Option<HeaderValue>,
}

impl Terms {
    /// `http3_port` is where HTTP/3 is served, if it is.
    pub(super) fn new(settings: &Settings, http3_port: Option<u16>) -> Self {
        let edge = &settings.edge;
        Self {
            routes: Routes::new(edge),
            tags: Tags::new(edge),
            proxies: Proxies::new(edge),
            cookie: CookieRule::new(&settings.cookie),
            placeholders: Placeholders::new(&settings.identity.placeholders),
            limits: Limits {
                event_bytes_max: edge.event_bytes_max,
                batch_events_max: edge.batch_events_max,
                members_max: edge.members_max,
                lent_bytes_max: edge.lent_bytes_max,
            },
            body_bytes_max: edge.body_bytes_max,
            body_timeout_ms: edge.body_timeout_ms,
            in_flight_max: edge.in_flight_max,
            awaited_max: AwaitedMax {
                of_address: edge.bodies_per_address_max,
                all: edge.in_flight_max.div_ceil(2),
            },
            held_max: HeldMax {
                all: edge.buffered_bytes_max,
                // One body has to find room, as sent and as inflated.
                of_address: edge
                    .buffered_bytes_per_address_max
                    .max(edge.body_bytes_max.saturating_mul(2)),
            },
            address_rate: Arc::new(AddressRate::new(edge.address_rate_limit)),
            address_events: Arc::new(AddressRate::with_burst(
                NonZeroU32::new(edge.address_event_rate),
                ADDRESS_EVENTS_BURST_S,
            )),
            new_profiles: Arc::new(AddressRate::with_burst(
                NonZeroU32::new(settings.profiles.new_per_address_rate),
                NEW_PROFILES_BURST_S,
            )),
            alt_svc: http3_port.and_then(|port| {
                let port = edge.alt_svc_port.unwrap_or(port);
                let max_age_s = edge.alt_svc_max_age_ms / 1_000;
                HeaderValue::from_str(&format!("h3=\":{port}\"; ma={max_age_s}")).ok()
            }),
        }
    }

    /// What is counted goes on being counted, where its limit is still the same.
    pub(super) fn followed_by(&self, mut next: Self) -> Self {
        if next.address_rate.limit() == self.address_rate.limit() {
            next.address_rate = Arc::clone(&self.address_rate);
        }
        if next.address_events.limit() == self.address_events.limit() {
            next.address_events = Arc::clone(&self.address_events);
        }
        if next.new_profiles.limit() == self.new_profiles.limit() {
            next.new_profiles = Arc::clone(&self.new_profiles);
        }
        next
    }
}
