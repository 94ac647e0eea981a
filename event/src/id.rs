//! Identifiers as types, so that one can never stand where another is meant.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One person as far as Tidegate knows: 128 random bits, minted by the collector.
///
/// "Older" profile in the merge rule means smaller creation time, then smaller id.
// Aligned like an offset or a pointer, beside which it stands in every index: a u128's own
// alignment would add eight empty bytes to each entry.
#[repr(Rust, packed(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProfileId(pub u128);

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_u128(self.0).as_hyphenated(), f)
    }
}

impl ProfileId {
    /// Appends the hyphenated form (36 bytes).
    pub fn write(self, out: &mut Vec<u8>) {
        let mut text = Uuid::encode_buffer();
        out.extend_from_slice(
            Uuid::from_u128(self.0)
                .as_hyphenated()
                .encode_lower(&mut text)
                .as_bytes(),
        );
    }

    /// Reads the hyphenated form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(|id| Self(id.as_u128()))
    }
}

/// A device, as one short key: the 64-bit FNV-1a of its anonymousId, or of the cookie id.
///
/// Sessions are kept per visitor. Within one profile a few of them live side by side, so 64 bits
/// are ample there; the id is never used to look a profile up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VisitorId(pub u64);

impl VisitorId {
    /// The key of this anonymousId or cookie id.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(fnv1a_64(text.as_bytes()))
    }
}

/// A segment's short key in records and profiles: the 32-bit FNV-1a of its name. Two names of one
/// catalog with the same key are refused when the catalog is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId(pub u32);

impl SegmentId {
    /// The key of this segment name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(fnv1a_32(name.as_bytes()))
    }
}

/// FNV-1a, 32 bits: stable over builds and machines, so it may stand in files.
#[must_use]
pub fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// FNV-1a, 64 bits.
#[must_use]
pub fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_id_reads_back_what_it_wrote() {
        let id = ProfileId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let mut text = Vec::new();
        id.write(&mut text);
        assert_eq!(text, id.to_string().as_bytes());
        assert_eq!(ProfileId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn fnv_matches_the_published_vectors() {
        assert_eq!(fnv1a_32(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a_64(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
