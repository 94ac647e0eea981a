//! What counts as one client address: an IPv4 address, or the /64 of an IPv6 one, which is what a
//! provider gives to one household and a client can change within at will (RFC 6177, RFC 8981).

use std::net::IpAddr;

/// A client address as limits see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::edge) struct AddressKey(u64);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No /64 begins with 96 zero bits and an IPv4 address: `to_canonical` unwraps those.
            IpAddr::V4(v4) => Self(u64::from(v4.to_bits())),
            IpAddr::V6(v6) => {
                let (first, _) = v6
                    .octets()
                    .split_first_chunk()
                    .map_or(([0; 8], &[][..]), |s| (*s.0, s.1));
                Self(u64::from_be_bytes(first))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> AddressKey {
        AddressKey::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn one_ipv6_network_of_64_bits_is_one_address() {
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    }

    #[test]
    fn an_ipv4_address_is_the_same_however_it_is_written() {
        assert_eq!(key("::ffff:203.0.113.9"), key("203.0.113.9"));
        assert_ne!(key("203.0.113.9"), key("203.0.113.8"));
    }
}
