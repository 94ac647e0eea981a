//! Step 4: what the rules may read about a hit beyond what it says: time, place, device, page,
//! campaign. The full IP address ends here, also the one in `context.ip`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use tidegate_event::hit::Object;
use tidegate_event::{Enriched, Geo, Hit, Identified, Identity, Json, Timestamp};

use super::campaign::campaign;
use super::device::device;
use super::members::Members;
use super::page::{page, text};

/// Furthest that event time may lie before receipt, in milliseconds.
pub const EVENT_AGE_MAX_MS: i64 = 72 * 3_600_000;

/// Longest user agent kept, in bytes.
pub const USER_AGENT_BYTES_MAX: usize = 512;

/// What anonymous events keep of `context`: nothing that names a person or a device, so a list of
/// what may stay rather than of what must go.
const ANONYMOUS_CONTEXT: [&str; 13] = [
    "app", "campaign", "channel", "consent", "direct", "library", "locale", "network", "os",
    "page", "referrer", "screen", "timezone",
];

/// What the request says beside its events.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// The gateway's clock when it arrived.
    pub received_at: Timestamp,
    /// The client's address, behind trusted proxies.
    pub client_ip: Option<IpAddr>,
    /// `User-Agent`
    pub user_agent: Option<&'a str>,
    /// `Referer`
    pub referer: Option<&'a str>,
}

/// Where an address is.
pub trait GeoLookup {
    /// Country, city and network, as far as known; never fails.
    fn lookup(&self, ip: IpAddr) -> Geo;
}

impl<G: GeoLookup> GeoLookup for std::sync::Arc<G> {
    fn lookup(&self, ip: IpAddr) -> Geo {
        G::lookup(self, ip)
    }
}

/// Adds what can be derived. A server-side event speaks for its own visitor: its `context.ip` and
/// `context.userAgent` count, the request's are its back end's.
pub fn enrich<'a>(
    identified: Identified<'a>,
    facts: &RequestFacts<'a>,
    geo: &impl GeoLookup,
) -> Enriched<'a> {
    let Identified {
        mut hit,
        consent,
        identity,
    } = identified;
    let (ip, user_agent, referer) = if hit.server_channel {
        (context_ip(&hit), context_user_agent(&hit), None)
    } else {
        let told = facts.user_agent.map(Cow::Borrowed);
        let user_agent = told.or_else(|| context_user_agent(&hit));
        (facts.client_ip, user_agent, facts.referer)
    };
    let ip = ip.map(|ip| ip.to_canonical());
    let user_agent = user_agent.map(shortened);
    let page = page(&hit, referer);
    let campaign = campaign(&hit, &page);
    let is_anonymous = identity == Identity::Anonymous;
    scrub(&mut hit.context, is_anonymous);
    Enriched {
        received_at: facts.received_at,
        event_time: event_time(&hit, facts.received_at),
        geo: ip.map(|ip| geo.lookup(ip)).unwrap_or_default(),
        device: device(user_agent.as_deref()),
        campaign,
        page,
        ip_truncated: ip.filter(|_| !is_anonymous).map(truncated),
        user_agent: user_agent.filter(|_| !is_anonymous),
        hit,
        consent,
        identity,
    }
}

/// `received_at - (sent_at - occurred_at)`; without `sent_at` the client's clock is taken as right.
fn event_time(hit: &Hit<'_>, received_at: Timestamp) -> Timestamp {
    let Some(occurred_at) = hit.occurred_at else {
        return received_at;
    };
    let at = match hit.sent_at {
        Some(sent_at) => received_at.plus_ms(occurred_at.since(sent_at)),
        None => occurred_at,
    };
    at.clamp(received_at.plus_ms(-EVENT_AGE_MAX_MS), received_at)
}

fn context_ip(hit: &Hit<'_>) -> Option<IpAddr> {
    hit.context.value.get("ip")?.as_str()?.trim().parse().ok()
}

fn context_user_agent<'a>(hit: &Hit<'a>) -> Option<Cow<'a, str>> {
    text(hit.context.value.get("userAgent")?)
}

fn shortened(user_agent: Cow<'_, str>) -> Cow<'_, str> {
    let len = user_agent.floor_char_boundary(USER_AGENT_BYTES_MAX);
    match user_agent {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..len]),
        Cow::Owned(mut text) => {
            text.truncate(len);
            Cow::Owned(text)
        }
    }
}

/// Last octet zeroed; of IPv6 the last 80 bits.
fn truncated(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            // By hand: the formatter of addresses takes ten times as long.
            let mut text = String::with_capacity("255.255.255.0".len());
            for octet in &ip.octets()[..3] {
                text.push_str(itoa::Buffer::new().format(*octet));
                text.push('.');
            }
            text.push('0');
            text
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
        }
    }
}

/// Takes the address out of `context`, and for anonymous events everything that may identify.
fn scrub(context: &mut Object<'_>, is_anonymous: bool) {
    let keep = |key: &str| {
        if is_anonymous {
            ANONYMOUS_CONTEXT.contains(&key)
        } else {
            key != "ip"
        }
    };
    let Json::Object(members) = &mut context.value else {
        return;
    };
    if members.iter().all(|(key, _)| keep(key)) {
        return;
    }
    members.retain(|(key, _)| keep(key));
    let mut raw = Vec::with_capacity(context.raw.len());
    Members::split(&context.raw).write_open(&mut raw, keep);
    raw.push(b'}');
    context.raw = Cow::Owned(String::from_utf8(raw).expect("members of UTF-8 text join to UTF-8"));
}
