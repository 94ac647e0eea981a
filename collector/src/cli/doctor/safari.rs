//! How long Safari will keep the visitor cookie, found from names and addresses alone.
//!
//! WebKit caps a cookie that an answer sets at 7 days in two cases: the answering host is an alias
//! (CNAME) of another site, or its address does not share the first half (IPv4: 16 bits, IPv6: 64
//! bits) with the page's. Whether it does so for a given visitor is Safari's to decide; this only
//! says what its published rules lead to.

use std::net::IpAddr;

use super::finding::Finding;
use super::host::Host;

const CHECK: &str = "Safari's cookie";

/// What the rules lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as `cookie.lifetime` says.
    Whole,
    /// Another site's cookie: not kept at all.
    Blocked,
    /// 7 days: an alias of another site.
    Alias,
    /// 7 days: an address elsewhere.
    Elsewhere,
    /// 7 days or the whole time, by which of its addresses answers.
    Mixed,
}

/// Judges what DNS said of both.
pub fn cookie(site: Result<Host, String>, collector: Result<Host, String>) -> Finding {
    match (site, collector) {
        (Ok(site), Ok(collector)) => report(&site, &collector, lifetime(&site, &collector)),
        (Err(why), _) | (_, Err(why)) => Finding::unknown(
            CHECK,
            why,
            "make both names resolve here, then run this again",
        ),
    }
}

/// Applies the rules.
pub fn lifetime(site: &Host, collector: &Host) -> Lifetime {
    if registrable(&site.name) != registrable(&collector.name) {
        return Lifetime::Blocked;
    }
    if site.name == collector.name {
        return Lifetime::Whole;
    }
    let own = registrable(&site.name);
    let alias = registrable(&collector.canonical);
    if alias != own && alias != registrable(&site.canonical) {
        return Lifetime::Alias;
    }
    let near = |address: &&IpAddr| {
        site.addresses
            .iter()
            .any(|own| share_a_half(*own, **address))
    };
    match collector.addresses.iter().filter(near).count() {
        0 => Lifetime::Elsewhere,
        count if count == collector.addresses.len() => Lifetime::Whole,
        _ => Lifetime::Mixed,
    }
}

/// True where both begin with the same 16 bits (IPv4) or 64 bits (IPv6).
pub fn share_a_half(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..2] == other.octets()[..2],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets()[..8] == other.octets()[..8],
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// The registered part of a name (`example.co.uk`); an address or a name without a
/// public suffix stands for itself.
fn registrable(name: &str) -> &str {
    if name.parse::<IpAddr>().is_ok() {
        return name;
    }
    psl::domain_str(name).unwrap_or(name)
}

fn report(site: &Host, collector: &Host, lifetime: Lifetime) -> Finding {
    let (page, own) = (&site.name, &collector.name);
    let same_front = format!(
        "let the same front (CDN or proxy) answer for {page} and {own}, or serve the collector \
         under a path of {page} itself: edge.path_prefix"
    );
    match lifetime {
        Lifetime::Whole => Finding::ok(
            CHECK,
            format!("{own} stands as near to {page} as Safari asks: kept for cookie.lifetime"),
        ),
        Lifetime::Blocked => Finding::fail(
            CHECK,
            format!("{own} is another site than {page}: Safari keeps no cookie of it"),
            format!("give the collector a name below {}", registrable(page)),
        ),
        Lifetime::Alias => Finding::warn(
            CHECK,
            format!(
                "{own} is an alias of {}, another site: kept for 7 days",
                collector.canonical
            ),
            format!("point {own} at addresses (A, AAAA); then {same_front}"),
        ),
        Lifetime::Elsewhere => Finding::warn(
            CHECK,
            format!(
                "{own} ({}) shares no address half with {page} ({}): kept for 7 days",
                list(&collector.addresses),
                list(&site.addresses)
            ),
            same_front,
        ),
        Lifetime::Mixed => Finding::warn(
            CHECK,
            format!(
                "only some of {own}'s addresses ({}) share a half with {page}'s ({}): kept for 7 \
                 days where another one answers",
                list(&collector.addresses),
                list(&site.addresses)
            ),
            same_front,
        ),
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
