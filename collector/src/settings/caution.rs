//! Settings that are allowed but unsafe in most installations. They are warnings, not errors:
//! `tidegate check`, `tidegate doctor`, a start and a reload report them.

use std::net::IpAddr;

use super::{Cidr, Settings};

/// A range of proxies with a shorter prefix than this is more than any one network: of IPv4 a /8 is
/// the most that was ever given to one owner, of IPv6 a /16 is.
const IPV4_PREFIX_MIN: u8 = 8;
const IPV6_PREFIX_MIN: u8 = 16;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caution {
    /// The key.
    pub key: &'static str,
    /// What can happen.
    pub danger: &'static str,
    /// What to write instead.
    pub remedy: &'static str,
}

/// The warnings about these settings.
#[must_use]
pub fn cautions(settings: &Settings) -> Vec<Caution> {
    let edge = &settings.edge;
    let reachable = [
        (edge.proxy_protocol.http, Some(edge.http)),
        (edge.proxy_protocol.https, edge.https),
    ]
    .into_iter()
    .filter_map(|(expected, address)| address.filter(|_| expected))
    .any(|address| !address.ip().is_loopback());
    let mut found = Vec::new();
    if reachable && edge.trusted_proxies.is_empty() {
        found.push(Caution {
            key: "edge.proxy_protocol",
            danger: "without edge.trusted_proxies any client that connects can set its own address \
                     in the header",
            remedy: "name the proxies in edge.trusted_proxies",
        });
    }
    if edge.trusted_proxies.iter().any(covers_strangers) {
        found.push(Caution {
            key: "edge.trusted_proxies",
            danger: "a range shorter than /8 (IPv6: /16) covers strangers: any client in it can set \
                     the address, host and scheme of its requests",
            remedy: "name the proxies' own ranges",
        });
    }
    found
}

/// Logs them.
pub fn warn(settings: &Settings) {
    for caution in cautions(settings) {
        let (key, danger, remedy) = (caution.key, caution.danger, caution.remedy);
        tracing::warn!(key, remedy, "{danger}");
    }
}

fn covers_strangers(range: &Cidr) -> bool {
    /// What IPv4 addresses begin with as IPv6 ones (RFC 4291, section 2.5.5.2).
    const MAPPED_PREFIX: u8 = 96;
    match range.network {
        IpAddr::V4(_) => range.prefix < IPV4_PREFIX_MIN,
        IpAddr::V6(network) if network.to_ipv4_mapped().is_some() => {
            range.prefix < MAPPED_PREFIX + IPV4_PREFIX_MIN
        }
        IpAddr::V6(_) => range.prefix < IPV6_PREFIX_MIN,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cidr, ProxyProtocol};
    use super::*;

    #[test]
    fn a_proxy_header_that_anybody_may_send_is_told() {
        let mut settings = Settings::default();
        settings.edge.proxy_protocol = ProxyProtocol {
            http: true,
            https: false,
        };
        assert_eq!(cautions(&settings), [], "only this machine reaches it");
        settings.edge.http = "0.0.0.0:8080".parse().unwrap();
        let keys: Vec<_> = cautions(&settings).iter().map(|one| one.key).collect();
        assert_eq!(keys, ["edge.proxy_protocol"]);
        settings.edge.trusted_proxies = vec![Cidr {
            network: "10.0.0.0".parse().unwrap(),
            prefix: 8,
        }];
        assert_eq!(cautions(&settings), []);
    }

    #[test]
    fn trusted_proxies_that_cover_strangers_are_told() {
        for (network, prefix, told) in [
            ("0.0.0.0", 0, true),
            ("128.0.0.0", 1, true),
            ("10.0.0.0", 8, false),
            ("::", 0, true),
            ("2000::", 3, true),
            ("2600::", 16, false),
            ("::ffff:0.0.0.0", 96, true),
            ("::ffff:10.0.0.0", 104, false),
        ] {
            let mut settings = Settings::default();
            settings.edge.trusted_proxies = vec![Cidr {
                network: network.parse().unwrap(),
                prefix,
            }];
            let keys: Vec<_> = cautions(&settings).iter().map(|one| one.key).collect();
            let expected = told.then_some("edge.trusted_proxies");
            assert_eq!(keys, Vec::from_iter(expected), "{network}/{prefix}");
        }
    }
}
