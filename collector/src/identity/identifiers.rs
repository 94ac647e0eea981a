//! The identifiers of one profile, packed one behind the other. Most are random ids that stand as
//! text in cookies and events; their 16 bytes are kept rather than their 32 or 36 digits.
//!
//! At rest they are written out as text. Which profile an identifier leads to is the index's.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidegate_event::Timestamp;
use tidegate_event::record::Namespace;
use uuid::Uuid;

/// One identifier tied to a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identifier<'a> {
    /// Its kind.
    pub namespace: Namespace,
    /// When it was tied.
    pub added_at: Timestamp,
    /// Its value.
    pub value: Cow<'a, str>,
}

/// A profile's identifiers, newest last.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identifiers(Box<[u8]>);

/// An identifier as it is packed.
#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    namespace: Namespace,
    added_at: Timestamp,
    #[serde(borrow)]
    value: Value<'a>,
}

#[derive(Serialize, Deserialize)]
enum Value<'a> {
    Text(&'a str),
    /// Hyphenated in lower case, as SDKs send theirs.
    Hyphenated([u8; 16]),
    /// 32 digits in lower case, as our cookie is.
    Digits([u8; 16]),
}

impl<'a> Value<'a> {
    fn of(text: &'a str) -> Self {
        let Ok(id) = Uuid::try_parse(text) else {
            return Self::Text(text);
        };
        let mut buffer = Uuid::encode_buffer();
        if id.hyphenated().encode_lower(&mut buffer) == text {
            Self::Hyphenated(id.into_bytes())
        } else if id.simple().encode_lower(&mut buffer) == text {
            Self::Digits(id.into_bytes())
        } else {
            Self::Text(text)
        }
    }

    fn text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Hyphenated(id) => Cow::Owned(Uuid::from_bytes(id).hyphenated().to_string()),
            Self::Digits(id) => Cow::Owned(Uuid::from_bytes(id).simple().to_string()),
        }
    }
}

impl Identifiers {
    /// Adds one as the newest.
    pub fn push(&mut self, namespace: Namespace, added_at: Timestamp, value: &str) {
        let packed = Packed {
            namespace,
            added_at,
            value: Value::of(value),
        };
        let bytes = std::mem::take(&mut self.0).into_vec();
        self.0 = postcard::to_extend(&packed, bytes)
            .expect("a vector takes whatever is written")
            .into_boxed_slice();
    }

    /// Adds another profile's as the newest.
    pub fn extend(&mut self, others: &Self) {
        self.0 = [&*self.0, &*others.0].concat().into_boxed_slice();
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Identifier<'_>> {
        self.packed().map(|packed| Identifier {
            namespace: packed.namespace,
            added_at: packed.added_at,
            value: packed.value.text(),
        })
    }

    /// Kinds and times without the values, which cost more to read.
    pub fn ties(&self) -> impl Iterator<Item = (Namespace, Timestamp)> {
        self.packed()
            .map(|packed| (packed.namespace, packed.added_at))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packed().count()
    }

    /// True where there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest of a kind.
    #[must_use]
    pub fn first(&self, namespace: Namespace) -> Option<Cow<'_, str>> {
        self.first_of(namespace as u8)
    }

    /// The oldest of the kind of this number.
    pub(super) fn first_of(&self, number: u8) -> Option<Cow<'_, str>> {
        let mut own = self.packed().filter(|p| p.namespace as u8 == number);
        own.next().map(|packed| packed.value.text())
    }

    /// The newest of a kind.
    #[must_use]
    pub fn last(&self, namespace: Namespace) -> Option<Cow<'_, str>> {
        let own = self.packed().filter(|p| p.namespace == namespace);
        own.last().map(|packed| packed.value.text())
    }

    fn packed(&self) -> impl Iterator<Item = Packed<'_>> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            // Fails at the end of the bytes and nowhere else: they are our own.
            let (packed, behind) = postcard::take_from_bytes(rest).ok()?;
            rest = behind;
            Some(packed)
        })
    }
}

impl fmt::Debug for Identifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Identifiers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.iter().collect::<Vec<_>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Identifiers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut identifiers = Self::default();
        for one in Vec::<Identifier<'_>>::deserialize(deserializer)? {
            identifiers.push(one.namespace, one.added_at, &one.value);
        }
        Ok(identifiers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_800_000_000_000);
    const HYPHENATED: &str = "0f3c1a9e-5d7b-4c2e-8a16-9b0d4e7f2c35";
    const DIGITS: &str = "0f3c1a9e5d7b4c2e8a169b0d4e7f2c35";

    fn values(identifiers: &Identifiers) -> Vec<String> {
        identifiers.iter().map(|id| id.value.into_owned()).collect()
    }

    #[test]
    fn every_value_reads_back_as_it_was_sent() {
        let sent = [
            "customer-42",
            "",
            "Zürich",
            HYPHENATED,
            DIGITS,
            &HYPHENATED.to_uppercase(),
            &DIGITS.to_uppercase(),
            "{0f3c1a9e-5d7b-4c2e-8a16-9b0d4e7f2c35}",
            "urn:uuid:0f3c1a9e-5d7b-4c2e-8a16-9b0d4e7f2c35",
            &"x".repeat(300),
        ];
        let mut identifiers = Identifiers::default();
        for (position, value) in sent.iter().enumerate() {
            identifiers.push(Namespace::AnonymousId, AT, value);
            assert_eq!(identifiers.len(), position + 1);
        }
        assert_eq!(values(&identifiers), sent);
        let row = postcard::to_stdvec(&identifiers).unwrap();
        let read: Identifiers = postcard::from_bytes(&row).unwrap();
        assert_eq!(read, identifiers);
    }

    #[test]
    fn the_order_in_which_they_were_tied_stays() {
        let mut own = Identifiers::default();
        own.push(Namespace::AnonymousId, Timestamp(-1), "first");
        own.push(Namespace::UserId, AT, "ada");
        let mut other = Identifiers::default();
        other.push(Namespace::AnonymousId, AT, "last");
        own.extend(&other);
        assert_eq!(values(&own), ["first", "ada", "last"]);
        assert_eq!(own.first(Namespace::UserId).as_deref(), Some("ada"));
        assert_eq!(own.last(Namespace::AnonymousId).as_deref(), Some("last"));
        assert_eq!(
            own.ties().next(),
            Some((Namespace::AnonymousId, Timestamp(-1)))
        );
    }

    #[test]
    fn an_sdks_id_and_a_cookie_take_48_bytes() {
        let mut identifiers = Identifiers::default();
        identifiers.push(Namespace::AnonymousId, AT, HYPHENATED);
        identifiers.push(Namespace::AnonymousId, AT, DIGITS);
        assert_eq!(identifiers.0.len(), 48);
    }
}
