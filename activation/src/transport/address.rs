//! Which addresses a destination may have: public ones, and private ones that are allowed by name
//! of their network. The check is made on the address that is actually connected.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::settings::Network;

/// True for an address that may be connected.
#[must_use]
pub fn is_allowed(address: IpAddr, allow_private: &[Network]) -> bool {
    // An IPv4 address inside an IPv6 one reaches the IPv4 host: judge that one.
    let address = address.to_canonical();
    is_public(address)
        || allow_private
            .iter()
            .any(|network| network.contains(address))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Everything in IANA's special-purpose registry that is not globally reachable.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, ..)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // ::/96, loopback and unspecified included
        [0, 0, 0, 0, 0, 0, _, _]
        | [0x64, 0xff9b, 1, ..]
        | [0x100, 0, 0, 0, ..]
        | [0x2001, 0..=0x1ff, ..]
        | [0x2001, 0xdb8, ..]
        | [0x3fff, 0..=0xfff, ..]
        | [0x5f00, ..]
        | [0xfc00..=0xfdff, ..]
        | [0xfe80..=0xfeff, ..]
        | [0xff00..=0xffff, ..] => false,
        // NAT64 and 6to4 lead to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_road_to_an_inner_address_is_closed() {
        for inner in [
            "127.0.0.1",
            "127.255.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.170",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
        ] {
            assert!(!is_allowed(inner.parse().unwrap(), &[]), "{inner}");
        }
    }

    #[test]
    fn public_addresses_pass() {
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.169.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::",
        ] {
            assert!(is_allowed(public.parse().unwrap(), &[]), "{public}");
        }
    }

    #[test]
    fn an_allowed_network_opens_only_itself() {
        let allow = ["127.0.0.1".parse().unwrap(), "10.1.0.0/16".parse().unwrap()];
        for (address, allowed) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.1.2.3", true),
            ("10.2.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(
                is_allowed(address.parse().unwrap(), &allow),
                allowed,
                "{address}"
            );
        }
    }
}
