//! What can be set, for the crate and per destination. Checking a destination lives beside its
//! kind; nothing here touches a network or a file.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

use crate::destinations::DestinationKind;

/// Bounds and permissions of the whole crate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Private addresses and networks that destinations may reach.
    pub allow_private: Vec<Network>,
    /// Rows in the outbox, all destinations together. Half of them is kept for the destinations in
    /// equal parts, the rest is first come, first served.
    pub outbox_rows_max: u64,
    /// Rows of one destination; beyond these bounds its changes become its dead letters.
    pub destination_rows_max: u64,
    /// Keys (profile, segment) of one destination kept in memory; the rest wait on disk.
    pub resident_max: usize,
    /// Dead letters of one destination; beyond it the oldest is dropped and counted.
    pub dead_letters_max: u64,
    /// Dead letters older than this are dropped and counted, in milliseconds.
    pub dead_letters_max_age_ms: u64,
    /// How long the newest attempted epoch of an idle key is remembered, in milliseconds.
    pub attempted_keep_ms: u64,
    /// Bytes of an answer that are read before the connection is given up.
    pub answer_bytes_max: usize,
    /// Connections to one host that are kept while nothing is sent.
    pub idle_connections_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_private: Vec::new(),
            outbox_rows_max: 1_000_000,
            destination_rows_max: 500_000,
            resident_max: 10_000,
            dead_letters_max: 10_000,
            dead_letters_max_age_ms: 30 * 86_400_000,
            attempted_keep_ms: 30 * 86_400_000,
            answer_bytes_max: 64 * 1024,
            idle_connections_max: 64,
        }
    }
}

/// One destination of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationConfig {
    /// Unique name; part of the idempotency key, so renaming makes a new destination.
    pub name: String,
    /// What it is, with the values of the kind's own keys.
    pub kind: DestinationKind,
    /// Segments whose changes it gets; `"*"` is all of them.
    pub segments: Vec<String>,
    /// How fast and how many at once.
    pub limits: Limits,
    /// When to try again and when to give up.
    pub retry: RetryPolicy,
    /// A change waits this long for a later one that replaces it; 0 sends at once.
    pub linger_ms: u64,
    /// False: nothing new is queued and nothing is sent; what is queued stays.
    pub enabled: bool,
}

impl DestinationConfig {
    /// With the limits that the kind's values say, default retries and no linger.
    #[must_use]
    pub fn new(name: &str, kind: DestinationKind, segments: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            limits: kind.limits(),
            kind,
            segments: segments.iter().map(|&segment| segment.to_owned()).collect(),
            retry: RetryPolicy::default(),
            linger_ms: 0,
            enabled: true,
        }
    }
}

/// How fast one destination is called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests a second, with a burst of one second.
    pub rps: u32,
    /// Requests in flight at most; adapts below it while the destination struggles.
    pub concurrency: usize,
    /// Milliseconds until an attempt without an answer is given up.
    pub timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rps: 1_000,
            concurrency: 64,
            timeout_ms: 15_000,
        }
    }
}

/// When a failed attempt is repeated, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Upper edge of the first delay; doubles with each attempt. Milliseconds.
    pub base_ms: u64,
    /// Upper edge of any delay, and of a `Retry-After`. Milliseconds.
    pub cap_ms: u64,
    /// A change not delivered this long after it was queued is a dead letter. Milliseconds.
    pub max_age_ms: u64,
    /// First pause of a destination that refuses our credentials or fails too often; doubles up
    /// to 64 times this. Milliseconds.
    pub pause_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base_ms: 1_000,
            cap_ms: 86_400_000,
            max_age_ms: 3 * 86_400_000,
            pause_ms: 1_000,
        }
    }
}

/// A secret as configured. Shows itself as `***`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps the configured text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for signing and for the catalog's store only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An address or a network in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    base: IpAddr,
    prefix_bits: u8,
}

/// Why a network was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address or a network such as \"10.0.0.0/8\"")]
pub struct NetworkError;

impl Network {
    /// True where `address` lies inside; the families never match each other.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix_bits);
                shift == 32 || base.to_bits() >> shift == address.to_bits() >> shift
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix_bits);
                shift == 128 || base.to_bits() >> shift == address.to_bits() >> shift
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (base, bits) = text
            .split_once('/')
            .map_or((text, None), |(a, b)| (a, Some(b)));
        let base: IpAddr = base.parse().map_err(|_| NetworkError)?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits
            .map_or(Ok(most), str::parse)
            .map_err(|_| NetworkError)?;
        if prefix_bits > most {
            Err(NetworkError)
        } else {
            Ok(Self { base, prefix_bits })
        }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_exactly_its_prefix() {
        let net: Network = "10.1.0.0/16".parse().unwrap();
        assert!(net.contains("10.1.255.255".parse().unwrap()));
        assert!(!net.contains("10.2.0.0".parse().unwrap()));
        assert!(!net.contains("::ffff:10.1.0.1".parse().unwrap()));
        let one: Network = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("255.1.2.3".parse().unwrap()));
    }

    #[test]
    fn a_network_that_is_none_is_refused() {
        for bad in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "localhost",
            "10.0.0.0/-1",
            "/8",
        ] {
            assert_eq!(bad.parse::<Network>(), Err(NetworkError), "{bad}");
        }
    }

    #[test]
    fn a_secret_never_shows_in_debug() {
        let kind = crate::destinations::stub::kind("https://h/", "topsecret");
        let config = DestinationConfig::new("d", kind, &["s"]);
        assert!(!format!("{config:?}").contains("topsecret"));
    }
}
