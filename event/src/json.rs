//! A JSON value that borrows from the text it was read from: no allocation for a string without
//! escapes, none per object key. Duplicate keys keep their order; a look-up takes the last one.
//!
//! Nesting is bounded by the parser (128 levels); numbers outside i64 become doubles.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Members that most objects of an event have at most: one allocation for each.
const USUAL_MEMBERS: usize = 8;

/// One borrowed JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string, borrowed unless it had escapes.
    Str(Cow<'a, str>),
    /// An array.
    Array(Vec<Self>),
    /// An object, in the order of the text.
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Json<'a> {
    /// The member `key`, where this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Json::Object(members) => members
                .iter()
                .rev()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            Json::Null
            | Json::Bool(_)
            | Json::Int(_)
            | Json::Float(_)
            | Json::Str(_)
            | Json::Array(_) => None,
        }
    }

    /// Follows `path` member by member; an empty path is the value itself.
    #[must_use]
    pub fn at<S: AsRef<str>>(&self, path: &[S]) -> Option<&Self> {
        path.iter()
            .try_fold(self, |value, key| value.get(key.as_ref()))
    }

    /// The text, where this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Json::Str(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The text of a string that is not empty.
    #[must_use]
    pub fn text(&self) -> Option<&Cow<'a, str>> {
        if let Json::Str(text) = self {
            Some(text).filter(|text| !text.is_empty())
        } else {
            None
        }
    }

    /// True for an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        matches!(self, Json::Object(_))
    }
}

impl From<u64> for Json<'_> {
    fn from(value: u64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "beyond i64 a double is what JSON readers use"
        )]
        i64::try_from(value).map_or(Json::Float(value as f64), Json::Int)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor(std::marker::PhantomData))
    }
}

struct JsonVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for JsonVisitor<'a> {
    type Value = Json<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json<'a>, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json<'a>, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json<'a>, E> {
        Ok(Json::Int(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json<'a>, E> {
        Ok(Json::from(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json<'a>, E> {
        Ok(Json::Float(value))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'a>, E> {
        Ok(Json::Str(Cow::Borrowed(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Json<'a>, E> {
        Ok(Json::Str(Cow::Owned(value.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'a>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'a>, A::Error> {
        let mut members = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            if members.is_empty() {
                members.reserve(USUAL_MEMBERS);
            }
            members.push((key, map.next_value()?));
        }
        Ok(Json::Object(members))
    }
}

/// `Cow<str>` by itself always deserializes owned; this one borrows where it can.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Str(text) => Ok(Key(text)),
            Json::Null
            | Json::Bool(_)
            | Json::Int(_)
            | Json::Float(_)
            | Json::Array(_)
            | Json::Object(_) => Err(serde::de::Error::custom("an object key must be a string")),
        }
    }
}

/// Appends `text` as a JSON string with its quotes.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[from..at]);
        if escape.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(escape);
        }
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let value: Json<'_> =
            serde_json::from_str(r#"{"a":"plain","b":"esc\n","c":[1,2.5]}"#).unwrap();
        assert!(matches!(
            value.get("a"),
            Some(Json::Str(Cow::Borrowed("plain")))
        ));
        assert!(matches!(value.get("b"), Some(Json::Str(Cow::Owned(_)))));
        assert_eq!(
            value.get("c"),
            Some(&Json::Array(vec![Json::Int(1), Json::Float(2.5)]))
        );
        assert!(matches!(&value, Json::Object(m) if matches!(m[0].0, Cow::Borrowed("a"))));
    }

    #[test]
    fn the_last_of_duplicate_keys_counts() {
        let value: Json<'_> = serde_json::from_str(r#"{"a":1,"a":{"b":true}}"#).unwrap();
        assert_eq!(value.at(&["a", "b"]), Some(&Json::Bool(true)));
    }

    #[test]
    fn written_strings_read_back() {
        for text in ["", "a\"b\\c", "line\nfeed\u{1}\u{1f}", "Zoë 東京 \u{2028}"] {
            let mut out = Vec::new();
            write_str(&mut out, text);
            let back: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(back, text);
        }
    }
}
