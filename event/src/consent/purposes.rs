//! The purposes that a visitor allows, as a set, and the byte that records and profile rows keep.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What may be done with a hit.
///
/// Stored as one byte: the high bit and a bit for each purpose. Formats before records' 3 and
/// profiles' 4 held a bool in its place: 1 where everything was allowed, 0 where callbacks and
/// sharing were not. Both are still read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Purposes(u8);

const STORE: u8 = 1;
const PROFILE: u8 = 1 << 1;
const PERSONALISE: u8 = 1 << 2;
const SHARE: u8 = 1 << 3;
const NUDGE: u8 = 1 << 4;

impl Purposes {
    /// Nothing: the hit is refused. Also for a record that is about no visitor.
    pub const NONE: Self = Self(0);
    /// `anonymous`: the event is kept without identifiers, traits, full IP address, session,
    /// segments and cookie.
    pub const ANONYMOUS: Self = Self(STORE);
    /// `no_share`: first-party id, session and segments, but no sync and no dispatch.
    pub const NO_SHARE: Self = Self(STORE | PROFILE | PERSONALISE);
    /// `granted`: everything.
    pub const GRANTED: Self = Self(STORE | PROFILE | PERSONALISE | SHARE | NUDGE);

    /// In a stored byte: the others are purposes. No bool has it.
    const BITS: u8 = 1 << 7;

    /// The event may be kept.
    #[must_use]
    pub const fn store(self) -> bool {
        self.has(STORE)
    }

    /// Identifiers, traits and sessions may be read, minted and kept.
    #[must_use]
    pub const fn profile(self) -> bool {
        self.has(PROFILE)
    }

    /// Segments may be shown to the visitor's own page.
    #[must_use]
    pub const fn personalise(self) -> bool {
        self.has(PERSONALISE)
    }

    /// Others may be told: callbacks, syncs.
    #[must_use]
    pub const fn share(self) -> bool {
        self.has(SHARE)
    }

    /// The person may be contacted: text, call, mail.
    #[must_use]
    pub const fn nudge(self) -> bool {
        self.has(NUDGE)
    }

    /// What both allow: the strictest wins.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The record's word: `granted` where everything is allowed, `anonymous` where no profile is,
    /// else `no_share`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GRANTED => "granted",
            _ if self.profile() => "no_share",
            _ => "anonymous",
        }
    }

    const fn has(self, purpose: u8) -> bool {
        self.0 & purpose != 0
    }
}

impl std::fmt::Debug for Purposes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            (STORE, "store"),
            (PROFILE, "profile"),
            (PERSONALISE, "personalise"),
            (SHARE, "share"),
            (NUDGE, "nudge"),
        ];
        let own = all.iter().filter(|(purpose, _)| self.has(*purpose));
        f.debug_set().entries(own.map(|(_, name)| name)).finish()
    }
}

impl Serialize for Purposes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(Self::BITS | self.0)
    }
}

impl<'de> Deserialize<'de> for Purposes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Self::NO_SHARE),
            1 => Ok(Self::GRANTED),
            byte if byte & !Self::GRANTED.0 == Self::BITS => Ok(Self(byte & Self::GRANTED.0)),
            byte => {
                let found = de::Unexpected::Unsigned(u64::from(byte));
                Err(de::Error::invalid_value(found, &"a set of purposes"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Purposes> {
        (0..=Purposes::GRANTED.0).map(Purposes)
    }

    #[test]
    fn every_set_reads_back_as_one_byte() {
        for purposes in all() {
            let bytes = postcard::to_stdvec(&purposes).unwrap();
            assert_eq!(bytes.len(), 1);
            let read: Purposes = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read, purposes);
        }
    }

    #[test]
    fn a_bool_of_earlier_formats_is_read() {
        for (shares, purposes) in [(true, Purposes::GRANTED), (false, Purposes::NO_SHARE)] {
            let bytes = postcard::to_stdvec(&shares).unwrap();
            let read: Purposes = postcard::from_bytes(&bytes).unwrap();
            assert_eq!((read, read.share()), (purposes, shares));
        }
    }

    #[test]
    fn a_byte_that_is_neither_is_refused() {
        let known: Vec<u8> = all().map(|purposes| Purposes::BITS | purposes.0).collect();
        for byte in (2..=u8::MAX).filter(|byte| !known.contains(byte)) {
            assert!(postcard::from_bytes::<Purposes>(&[byte]).is_err(), "{byte}");
        }
    }

    #[test]
    fn the_stricter_of_two_states_wins() {
        use Purposes as P;
        let states = [P::GRANTED, P::NO_SHARE, P::ANONYMOUS, P::NONE];
        for (at, one) in states.iter().enumerate() {
            for (other_at, other) in states.iter().enumerate() {
                assert_eq!(one.and(*other), states[at.max(other_at)]);
            }
        }
    }

    #[test]
    fn each_state_has_its_word_and_its_purposes() {
        for (purposes, word, allowed) in [
            (Purposes::GRANTED, "granted", [true; 5]),
            (
                Purposes::NO_SHARE,
                "no_share",
                [true, true, true, false, false],
            ),
            (
                Purposes::ANONYMOUS,
                "anonymous",
                [true, false, false, false, false],
            ),
            (Purposes::NONE, "anonymous", [false; 5]),
        ] {
            assert_eq!(purposes.as_str(), word);
            let found = [
                purposes.store(),
                purposes.profile(),
                purposes.personalise(),
                purposes.share(),
                purposes.nudge(),
            ];
            assert_eq!(found, allowed, "{word}");
        }
    }
}
