//! The client of a request and how it was reached: the connection's own peer or, where that is a
//! trusted proxy, what the proxy wrote into its header.
//!
//! Exactly one header, a setting, names the client. If several were believed, a client could write the
//! one that its proxy passes on unchanged.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use http::header::{FORWARDED, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::request::{Channel, Scheme, text};
use crate::pipeline::address::parse as parse_hop;
use crate::settings::{self, Cidr};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const VIEWER_ADDRESS: HeaderName = HeaderName::from_static("cloudfront-viewer-address");
/// Hops looked at; a longer chain is a client's invention.
const HOPS_MAX: usize = 32;

/// Whose word is believed about clients, and where it stands.
#[derive(Debug)]
pub(super) struct Proxies {
    trusted: Vec<Cidr>,
    header: ClientHeader,
}

/// The header that names the client.
#[derive(Debug)]
enum ClientHeader {
    /// RFC 7239
    Forwarded,
    /// An address and a port, whose colon an IPv6 address does not show.
    Viewer,
    /// Addresses, the nearest one last; a CDN's own header has one.
    Addresses(HeaderName),
}

/// What is believed about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client<'a> {
    /// Whose request it is.
    pub(super) ip: IpAddr,
    /// Whether the browser spoke TLS, to us or to the proxy.
    pub(super) secure: bool,
    /// The host that the browser asked.
    pub(super) host: Option<Cow<'a, str>>,
}

impl Proxies {
    pub(super) fn new(settings: &settings::Edge) -> Self {
        let name = &settings.client_ip_header;
        Self {
            trusted: settings.trusted_proxies.clone(),
            header: if *name == FORWARDED {
                ClientHeader::Forwarded
            } else if *name == VIEWER_ADDRESS {
                ClientHeader::Viewer
            } else {
                ClientHeader::Addresses(name.clone())
            },
        }
    }

    /// The client of a request on `channel`.
    pub(super) fn client<'a>(&self, channel: Channel, parts: &'a Parts) -> Client<'a> {
        let direct = Client {
            ip: channel.peer,
            secure: channel.scheme == Scheme::Https,
            host: own_host(parts).map(Cow::Borrowed),
        };
        if !self.is_trusted(channel.peer) {
            return direct;
        }
        let headers = &parts.headers;
        match &self.header {
            ClientHeader::Forwarded => self.by_forwarded(headers, direct),
            ClientHeader::Viewer => Client {
                ip: text(headers, VIEWER_ADDRESS)
                    .and_then(viewer_address)
                    .unwrap_or(direct.ip),
                ..by_x_headers(headers, direct)
            },
            ClientHeader::Addresses(name) => Client {
                ip: self.nearest(direct.ip, headers, name),
                ..by_x_headers(headers, direct)
            },
        }
    }

    /// The rightmost address that is no trusted proxy. A hop that is no address ends the walk:
    /// whatever stands left of it was not written by a proxy we know.
    fn nearest(&self, peer: IpAddr, headers: &HeaderMap, name: &HeaderName) -> IpAddr {
        let mut nearest = peer;
        // The header may come several times; together they read left to right.
        let lines: SmallVec<[&[u8]; 2]> = headers
            .get_all(name)
            .iter()
            .map(|line| line.as_bytes())
            .collect();
        let hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.rsplit(|b| *b == b','));
        for hop in hops.take(HOPS_MAX) {
            let Some(address) = std::str::from_utf8(hop).ok().and_then(parse_hop) else {
                break;
            };
            nearest = address;
            if !self.is_trusted(address) {
                break;
            }
        }
        nearest
    }

    /// As [`Self::nearest`]; scheme and host are those that the same hop came with.
    fn by_forwarded<'a>(&self, headers: &'a HeaderMap, direct: Client<'a>) -> Client<'a> {
        // Bytes that are no text may be the client's; they must not hide what the proxy added.
        let lines: SmallVec<[Cow<'_, str>; 2]> = headers
            .get_all(FORWARDED)
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        let mut client = direct;
        let hops = lines.iter().rev().flat_map(|line| {
            let mut hops: SmallVec<[&str; 4]> = split_unquoted(line, b',').collect();
            hops.reverse();
            hops
        });
        for hop in hops.take(HOPS_MAX) {
            let mut address = None;
            for pair in split_unquoted(hop, b';') {
                let Some((name, value)) = pair.split_once('=') else {
                    continue;
                };
                let value = unquoted(value.trim());
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => address = parse_hop(value),
                    "proto" => client.secure = value.eq_ignore_ascii_case("https"),
                    "host" => client.host = Some(Cow::Owned(value.to_owned())),
                    _ => {}
                }
            }
            let Some(address) = address else { break };
            client.ip = address;
            if !self.is_trusted(address) {
                break;
            }
        }
        client
    }

    /// Whether `address` is one of the trusted proxies.
    pub(super) fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(address))
    }

    /// Whether `peer` may name the client of a whole connection: a trusted proxy, or any peer where no
    /// trusted proxy is configured.
    pub(super) fn may_introduce(&self, peer: IpAddr) -> bool {
        self.trusted.is_empty() || self.is_trusted(peer)
    }
}

/// The host asked for: `:authority` or the target's (RFC 9112, section 3.2.2), else `Host`.
pub(super) fn own_host(parts: &Parts) -> Option<&str> {
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    authority.or_else(|| text(&parts.headers, HOST))
}

fn by_x_headers<'a>(headers: &'a HeaderMap, direct: Client<'a>) -> Client<'a> {
    let first = |name| Some(text(headers, name)?.split(',').next()?.trim());
    Client {
        secure: first(FORWARDED_PROTO)
            .map_or(direct.secure, |proto| proto.eq_ignore_ascii_case("https")),
        host: first(FORWARDED_HOST).map(Cow::Borrowed).or(direct.host),
        ip: direct.ip,
    }
}

/// `1.2.3.4:46532`, `2001:db8::1:46532`: what follows the last colon is the port.
fn viewer_address(value: &str) -> Option<IpAddr> {
    let (address, _port) = value.trim().rsplit_once(':')?;
    match address.parse::<Ipv6Addr>() {
        Ok(address) => Some(IpAddr::V6(address).to_canonical()),
        Err(_) => parse_hop(address),
    }
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value)
}

/// The parts of `text` between separators that stand in no quotes.
fn split_unquoted(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character: char| {
        quoted ^= character == '"';
        !quoted && character == char::from(separator)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Request};
    use proptest::prelude::*;

    fn range(text: &str) -> Cidr {
        let (network, prefix) = text.split_once('/').unwrap();
        Cidr {
            network: network.parse().unwrap(),
            prefix: prefix.parse().unwrap(),
        }
    }

    /// Address, scheme and host that are believed of a cleartext request from `peer`.
    fn believed(
        peer: &str,
        header: &str,
        lines: &[(&str, &str)],
        trusted: &[&str],
    ) -> (String, bool, String) {
        let mut request = Request::get("/").header("host", "own.example");
        for (name, value) in lines {
            request = request.header(*name, HeaderValue::from_str(value).unwrap());
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let proxies = Proxies::new(&settings::Edge {
            trusted_proxies: trusted.iter().map(|text| range(text)).collect(),
            client_ip_header: HeaderName::try_from(header).unwrap(),
            ..settings::Settings::default().edge
        });
        let channel = Channel {
            peer: peer.parse().unwrap(),
            scheme: Scheme::Http,
            waited_ms: None,
        };
        let client = proxies.client(channel, &parts);
        let host = client.host.unwrap().into_owned();
        (client.ip.to_string(), client.secure, host)
    }

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let header = "x-forwarded-for";
        let lines: Vec<_> = lines.iter().map(|line| (header, *line)).collect();
        believed(peer, header, &lines, trusted).0
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

    #[test]
    fn forwarded_names_address_scheme_and_host_of_the_same_hop() {
        let trusted = &["10.0.0.0/8"][..];
        for (line, ip, secure, host) in [
            (
                "for=1.2.3.4;proto=https;host=a.example",
                "1.2.3.4",
                true,
                "a.example",
            ),
            (
                "For=\"[2001:db8::7]:4711\" ; Proto=HTTPS",
                "2001:db8::7",
                true,
                "own.example",
            ),
            (
                "for=6.6.6.6;host=evil, for=1.2.3.4;host=\"a.example\";proto=http, for=10.0.0.9",
                "1.2.3.4",
                false,
                "a.example",
            ),
            (
                "for=6.6.6.6;proto=https, for=unknown, for=10.0.0.9",
                "10.0.0.9",
                false,
                "own.example",
            ),
            (
                "for=\"_a,b;c\", for=10.0.0.9",
                "10.0.0.9",
                false,
                "own.example",
            ),
            ("nonsense", "10.0.0.1", false, "own.example"),
        ] {
            let told = believed("10.0.0.1", "forwarded", &[("forwarded", line)], trusted);
            assert_eq!(told, (ip.to_owned(), secure, host.to_owned()), "{line}");
        }
        let told = believed(
            "9.9.9.9",
            "forwarded",
            &[("forwarded", "for=1.2.3.4;proto=https;host=x")],
            trusted,
        );
        assert_eq!(
            told,
            ("9.9.9.9".to_owned(), false, "own.example".to_owned())
        );
    }

    #[test]
    fn bytes_of_the_client_hide_no_hop() {
        let line = HeaderValue::from_bytes(b"for=\"\xff\", for=1.2.3.4;host=a.example").unwrap();
        let request = Request::get("/").header("forwarded", line);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let proxies = Proxies::new(&settings::Edge {
            trusted_proxies: vec![range("10.0.0.0/8")],
            client_ip_header: FORWARDED,
            ..settings::Settings::default().edge
        });
        let channel = Channel {
            peer: "10.0.0.1".parse().unwrap(),
            scheme: Scheme::Http,
            waited_ms: None,
        };
        let client = proxies.client(channel, &parts);
        assert_eq!(client.ip.to_string(), "1.2.3.4");
        assert_eq!(client.host.as_deref(), Some("a.example"));
    }

    #[test]
    fn a_cdns_own_header_names_the_client_and_no_other_header_does() {
        let trusted = &["10.0.0.0/8"][..];
        for (name, value, expected) in [
            ("cf-connecting-ip", "1.2.3.4", "1.2.3.4"),
            ("true-client-ip", "2001:db8::7", "2001:db8::7"),
            ("fastly-client-ip", "", "10.0.0.1"),
            ("cloudfront-viewer-address", "1.2.3.4:46532", "1.2.3.4"),
            (
                "cloudfront-viewer-address",
                "2001:db8::7:46532",
                "2001:db8::7",
            ),
            (
                "cloudfront-viewer-address",
                "[2001:db8::7]:46532",
                "2001:db8::7",
            ),
            ("cloudfront-viewer-address", "x", "10.0.0.1"),
        ] {
            let lines = [
                ("x-forwarded-for", "6.6.6.6"),
                ("forwarded", "for=6.6.6.6"),
                (name, value),
            ];
            let told = believed("10.0.0.1", name, &lines, trusted);
            assert_eq!(told.0, expected, "{name}: {value}");
        }
    }

    #[test]
    fn scheme_and_host_are_believed_of_trusted_proxies_only() {
        let lines = [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a.example"),
        ];
        let header = "x-forwarded-for";
        let (_, secure, host) = believed("10.0.0.1", header, &lines, &["10.0.0.0/8"]);
        assert_eq!((secure, host.as_str()), (true, "a.example"));
        let (_, secure, host) = believed("9.9.9.9", header, &lines, &["10.0.0.0/8"]);
        assert_eq!((secure, host.as_str()), (false, "own.example"));
    }

    proptest! {
        #[test]
        fn no_header_can_speak_for_an_untrusted_peer(line in "[ -~]{0,80}") {
            for name in ["x-forwarded-for", "forwarded", "cf-connecting-ip", "cloudfront-viewer-address"] {
                let told = believed("9.9.9.9", name, &[(name, &line)], &["10.0.0.0/8"]);
                prop_assert_eq!(told, ("9.9.9.9".to_owned(), false, "own.example".to_owned()));
            }
        }

        #[test]
        fn whatever_a_client_writes_left_of_the_proxys_entry_is_ignored(
            forged in "[ -~]{0,60}", a in 11u8..=200, b: u8, c: u8, d: u8,
        ) {
            let real = format!("{a}.{b}.{c}.{d}");
            prop_assume!(!forged.contains('"'));
            let line = format!("{forged}, {real}, 10.0.0.7");
            prop_assert_eq!(client("10.0.0.1", &[&line], &["10.0.0.0/8"]), real.as_str());
            let line = format!("{forged}, for={real}, for=10.0.0.7");
            let told = believed("10.0.0.1", "forwarded", &[("forwarded", &line)], &["10.0.0.0/8"]);
            prop_assert_eq!(told.0, real);
        }

        #[test]
        fn every_address_that_display_writes_reads_back(bits: u128, v4: u32, port: u16) {
            let v6 = IpAddr::from(bits.to_be_bytes()).to_canonical();
            let v4 = IpAddr::from(v4.to_be_bytes());
            prop_assert_eq!(parse_hop(&v6.to_string()), Some(v6));
            prop_assert_eq!(parse_hop(&format!("[{v6}]:{port}")), Some(v6));
            prop_assert_eq!(parse_hop(&format!(" {v4}:{port} ")), Some(v4));
            prop_assert_eq!(viewer_address(&format!("{v4}:{port}")), Some(v4));
            prop_assert_eq!(viewer_address(&format!("{v6}:{port}")), Some(v6));
        }

        #[test]
        fn arbitrary_hops_never_panic(hop: String) {
            let _ = (parse_hop(&hop), viewer_address(&hop));
        }
    }
}
