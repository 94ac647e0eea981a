//! One request as the endpoints see it, and the rule for whose address it came from.
//! Reads headers; never the body.

use std::net::IpAddr;

use http::header::{AsHeaderName, HeaderMap};
use http::{HeaderName, Method};
use tidegate_event::Timestamp;

use crate::settings::Cidr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Hops of `X-Forwarded-For` looked at; a longer chain is a client's invention.
const FORWARDED_HOPS_MAX: usize = 32;

/// Bytes turned into a request, nothing believed yet.
#[derive(Debug)]
pub struct RawHit<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as sent.
    pub path: &'a str,
    /// The query as sent, without its `?`.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// Who holds the other end of the connection.
    pub peer: IpAddr,
    /// Whose hit it is: the peer, or what a trusted proxy says.
    pub client_ip: IpAddr,
    /// The body, inflated.
    pub body: &'a [u8],
    /// The gateway's clock when the request was complete.
    pub received_at: Timestamp,
}

impl<'a> RawHit<'a> {
    /// A header's text; None where it is absent or not UTF-8.
    pub(super) fn header(&self, name: impl AsHeaderName) -> Option<&'a str> {
        text(self.headers, name)
    }
}

/// A header's text; None where it is absent or not UTF-8.
pub(super) fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}

/// The client's address: the peer's, or, behind a trusted proxy, the rightmost hop of
/// `X-Forwarded-For` that is not a trusted proxy itself. A hop that is no address ends the walk:
/// whatever stands left of it was not written by a proxy we know.
pub(super) fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let mut nearest = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter();
    // The header may come several times; together they read left to right.
    let lines: smallvec::SmallVec<[&[u8]; 2]> = lines.map(|line| line.as_bytes()).collect();
    let hops = lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|b| *b == b','));
    for hop in hops.take(FORWARDED_HOPS_MAX) {
        let Some(address) = parse_hop(hop) else { break };
        nearest = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    nearest
}

/// `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`, quoted or not.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let hop = hop
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(hop);
    let bare = match hop.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match hop.split_once(':') {
            Some((v4, port)) if !port.contains(':') => v4,
            Some(_) | None => hop,
        },
    };
    bare.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

fn is_trusted(address: IpAddr, trusted: &[Cidr]) -> bool {
    trusted.iter().any(|range| contains(range, address))
}

fn contains(range: &Cidr, address: IpAddr) -> bool {
    match (range.network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32 - u32::from(range.prefix.min(32));
            let differ = network.to_bits() ^ address.to_bits();
            differ.checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128 - u32::from(range.prefix.min(128));
            let differ = network.to_bits() ^ address.to_bits();
            differ.checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn range(text: &str) -> Cidr {
        let (network, prefix) = text.split_once('/').unwrap();
        Cidr {
            network: network.parse().unwrap(),
            prefix: prefix.parse().unwrap(),
        }
    }

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        let trusted: Vec<_> = trusted.iter().map(|text| range(text)).collect();
        client_ip(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn the_peer_counts_unless_it_is_a_trusted_proxy() {
        for (peer, lines, trusted, expected) in [
            ("9.9.9.9", &["1.2.3.4"][..], &[][..], "9.9.9.9"),
            ("9.9.9.9", &["1.2.3.4"], &["10.0.0.0/8"], "9.9.9.9"),
            ("10.0.0.1", &["1.2.3.4"], &["10.0.0.0/8"], "1.2.3.4"),
            ("10.0.0.1", &[], &["10.0.0.0/8"], "10.0.0.1"),
            (
                "10.0.0.1",
                &["6.6.6.6, 1.2.3.4, 10.7.7.7"],
                &["10.0.0.0/8"],
                "1.2.3.4",
            ),
            (
                "10.0.0.1",
                &["6.6.6.6", "1.2.3.4", "10.7.7.7"],
                &["10.0.0.0/8"],
                "1.2.3.4",
            ),
            (
                "10.0.0.1",
                &["10.1.1.1, 10.2.2.2"],
                &["10.0.0.0/8"],
                "10.1.1.1",
            ),
            (
                "10.0.0.1",
                &["6.6.6.6, unknown, 10.2.2.2"],
                &["10.0.0.0/8"],
                "10.2.2.2",
            ),
            ("10.0.0.1", &["1.2.3.4:4711"], &["10.0.0.0/8"], "1.2.3.4"),
            (
                "10.0.0.1",
                &["\"[2001:db8::7]:80\""],
                &["10.0.0.0/8"],
                "2001:db8::7",
            ),
            ("10.0.0.1", &["2001:db8::7"], &["10.0.0.0/8"], "2001:db8::7"),
            ("10.0.0.1", &["::ffff:1.2.3.4"], &["10.0.0.0/8"], "1.2.3.4"),
            ("fd00::1", &["1.2.3.4"], &["fd00::/8"], "1.2.3.4"),
            ("9.9.9.9", &["1.2.3.4"], &["0.0.0.0/0"], "1.2.3.4"),
        ] {
            assert_eq!(client(peer, lines, trusted), expected, "{peer} {lines:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_can_speak_for_an_untrusted_peer(line in "[ -~]{0,80}") {
            prop_assert_eq!(client("9.9.9.9", &[&line], &["10.0.0.0/8"]), "9.9.9.9");
        }

        #[test]
        fn whatever_a_client_writes_left_of_the_proxys_entry_is_ignored(
            forged in "[ -~]{0,60}", a in 11u8..=200, b: u8, c: u8, d: u8,
        ) {
            let real = format!("{a}.{b}.{c}.{d}");
            prop_assume!(!forged.contains('"'));
            let line = format!("{forged}, {real}, 10.0.0.7");
            prop_assert_eq!(client("10.0.0.1", &[&line], &["10.0.0.0/8"]), real);
        }

        #[test]
        fn every_address_that_display_writes_reads_back(bits: u128, v4: u32, port: u16) {
            let v6 = IpAddr::from(bits.to_be_bytes()).to_canonical();
            let v4 = IpAddr::from(v4.to_be_bytes());
            let bracketed = format!("[{v6}]:{port}");
            let with_port = format!(" {v4}:{port} ");
            prop_assert_eq!(parse_hop(v6.to_string().as_bytes()), Some(v6));
            prop_assert_eq!(parse_hop(bracketed.as_bytes()), Some(v6));
            prop_assert_eq!(parse_hop(with_port.as_bytes()), Some(v4));
        }

        #[test]
        fn arbitrary_hops_never_panic(hop: Vec<u8>) {
            let _ = parse_hop(&hop);
        }
    }
}
