//! Step 4: what the rules may read about a hit beyond what it says: time, place, device, page,
//! campaign. The full IP address ends here, also the one in `context.ip`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use tidegate_event::hit::Object;
use tidegate_event::{Device, Enriched, Geo, Hit, Identified, Identity, Json, Timestamp};

use super::address::{self, truncated};
use super::campaign::campaign;
use super::members::Members;
use super::page::page;

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
#[derive(Clone, Debug)]
pub struct RequestFacts<'a> {
    /// The gateway's clock when it arrived.
    pub received_at: Timestamp,
    /// The client's address, behind trusted proxies.
    pub client_ip: Option<IpAddr>,
    /// `User-Agent`
    pub user_agent: Option<Cow<'a, str>>,
    /// `Referer`
    pub referer: Option<Cow<'a, str>>,
    /// The source is a back end: `context` speaks for the visitor, the request only for its sender.
    /// A `channel` in the event does not suffice, since every browser can write it.
    pub from_back_end: bool,
}

/// Where an address is.
pub trait GeoLookup {
    /// Country, city and network, as far as known; never fails.
    fn lookup(&self, ip: IpAddr) -> Geo;
}

/// What a user agent says.
pub trait DeviceLookup {
    /// Device, system and browser, as far as known; never fails. Not for an empty text. `now` paces
    /// what look-ups may cost.
    fn device(&self, user_agent: &str, now: Timestamp) -> Arc<Device>;
}

/// All that enrichment looks up, behind one pointer: a look-up is one virtual call.
pub trait Enrichment: GeoLookup + DeviceLookup + Send + Sync {}

impl<T: GeoLookup + DeviceLookup + Send + Sync> Enrichment for T {}

/// Adds what can be derived. An event of a back end speaks for its own visitor: its `context.ip` and
/// `context.userAgent` count, the request's are the back end's.
pub fn enrich<'a>(
    identified: Identified<'a>,
    facts: &RequestFacts<'a>,
    known: &(impl GeoLookup + DeviceLookup),
) -> Enriched<'a> {
    let Identified {
        mut hit,
        consent,
        identity,
    } = identified;
    // A header without text says nothing, and hides nothing.
    let header = |text: &Option<Cow<'a, str>>| text.clone().filter(|text| !text.is_empty());
    let (ip, user_agent, referer) = if facts.from_back_end {
        (context_ip(&hit), context_user_agent(&hit), None)
    } else {
        let sent = header(&facts.user_agent);
        let user_agent = sent.or_else(|| context_user_agent(&hit));
        (facts.client_ip, user_agent, header(&facts.referer))
    };
    let ip = ip.map(|ip| ip.to_canonical());
    let user_agent = user_agent.map(shortened);
    let page = page(&hit, referer);
    let campaign = campaign(&hit, &page);
    let is_anonymous = identity == Identity::Anonymous;
    scrub(&mut hit.context, is_anonymous);
    for object in [&mut hit.context, &mut hit.properties, &mut hit.traits] {
        address::cut_short(object, is_anonymous);
    }
    let (event_time, clamped) = event_time(&hit, facts.received_at);
    Enriched {
        received_at: facts.received_at,
        event_time,
        clamped,
        geo: ip.map(|ip| known.lookup(ip)).unwrap_or_default(),
        device: user_agent
            .as_deref()
            .map(|text| known.device(text, facts.received_at))
            .unwrap_or_default(),
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
/// And whether that had to be moved into the 72 hours before receipt.
fn event_time(hit: &Hit<'_>, received_at: Timestamp) -> (Timestamp, bool) {
    let Some(occurred_at) = hit.occurred_at else {
        return (received_at, false);
    };
    let at = match hit.sent_at {
        Some(sent_at) => received_at.plus_ms(occurred_at.since(sent_at)),
        None => occurred_at,
    };
    let within = at.clamp(received_at.plus_ms(-EVENT_AGE_MAX_MS), received_at);
    (within, within != at)
}

fn context_ip(hit: &Hit<'_>) -> Option<IpAddr> {
    address::first(hit.context.value.get("ip")?)
}

fn context_user_agent<'a>(hit: &Hit<'a>) -> Option<Cow<'a, str>> {
    hit.context.value.get("userAgent")?.text().cloned()
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

/// Takes the address out of `context`, and for anonymous events everything that may identify.
fn scrub(context: &mut Object<'_>, is_anonymous: bool) {
    let keep = |key: &str| {
        if is_anonymous {
            ANONYMOUS_CONTEXT.contains(&key)
        } else {
            !key.eq_ignore_ascii_case("ip")
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
