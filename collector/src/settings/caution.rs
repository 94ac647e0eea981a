//! Settings that are allowed and yet open a door in most places. Never a mistake: they are said by
//! `tidegate check`, by `tidegate doctor` and at start, and the gateway does as it is told.

use super::Settings;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caution {
    /// The key.
    pub key: &'static str,
    /// What it lets happen.
    pub danger: &'static str,
    /// What to write instead.
    pub remedy: &'static str,
}

/// Everything that these settings should be asked about.
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
            danger: "without edge.trusted_proxies whoever connects may say in the header which \
                     address it comes from",
            remedy: "name the proxies in edge.trusted_proxies",
        });
    }
    found
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
}
