//! Where the write key stands in a request. Each protocol lists the places that it has; the first one
//! with a key decides. Which source the key opens is the edge's to say.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;

use super::message::Message;

/// Bytes of base64 credentials looked at: no write key is that long.
const CREDENTIALS_BYTES_MAX: usize = 512;

/// A place for the write key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// The user of `Authorization: Basic`.
    BasicUser,
    /// The first parameter of the query that has one of these names.
    Query(&'static [&'static str]),
    /// The header of this name, in lower case.
    Header(&'static str),
    /// The events' own text: the decoder finds it, as [`Envelope::write_key`].
    ///
    /// [`Envelope::write_key`]: crate::pipeline::decode::Envelope::write_key
    Content,
}

impl KeyPlace {
    fn read<'a>(self, message: &Message<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::BasicUser => basic_user(message),
            Self::Query(names) => of_query(message.query, names),
            Self::Header(name) => message
                .header(name)
                .filter(|key| !key.is_empty())
                .map(Cow::Borrowed),
            Self::Content => None,
        }
    }
}

/// Where clients of our own protocols put the key.
pub const OWN_KEYS: &[KeyPlace] = &[
    KeyPlace::BasicUser,
    KeyPlace::Query(&["writeKey", "write_key"]),
    KeyPlace::Content,
];

/// The key of the first place outside of the content that has one.
#[must_use]
pub fn write_key<'a>(places: &[KeyPlace], message: &Message<'a>) -> Option<Cow<'a, str>> {
    places.iter().find_map(|place| place.read(message))
}

/// `Basic base64(key:)`; some clients leave the colon out.
fn basic_user<'a>(message: &Message<'a>) -> Option<Cow<'a, str>> {
    let value = message.header(AUTHORIZATION)?;
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || credentials.len() > CREDENTIALS_BYTES_MAX {
        return None;
    }
    let mut decoded = STANDARD.decode(credentials.trim()).ok()?;
    if let Some(colon) = decoded.iter().position(|byte| *byte == b':') {
        decoded.truncate(colon);
    }
    String::from_utf8(decoded)
        .ok()
        .filter(|key| !key.is_empty())
        .map(Cow::Owned)
}

fn of_query<'a>(query: &'a str, names: &[&str]) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| names.contains(&&**name))
        .map(|(_, key)| key)
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn key(authorization: Option<&str>, query: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        let message = Message {
            query: query.unwrap_or(""),
            headers: &headers,
            body: &[],
        };
        write_key(OWN_KEYS, &message).map(Cow::into_owned)
    }

    #[test]
    fn the_key_is_the_basic_user_else_the_querys() {
        for (authorization, query, expected) in [
            (Some("Basic ZGVtbzo="), None, Some("demo")),
            (Some("basic ZGVtbw=="), None, Some("demo")),
            (Some("Basic ZGVtbzpzZWNyZXQ="), None, Some("demo")),
            (Some("Basic ZGVtbzo="), Some("writeKey=other"), Some("demo")),
            (None, Some("a=b&writeKey=demo"), Some("demo")),
            (None, Some("write_key=de%6Do"), Some("demo")),
            (Some("Bearer abc"), Some("writeKey=demo"), Some("demo")),
            (Some("Basic !!!"), None, None),
            (Some("Basic Og=="), None, None),
            (Some("Basic"), None, None),
            (None, Some("writeKey="), None),
            (None, None, None),
        ] {
            assert_eq!(
                key(authorization, query).as_deref(),
                expected,
                "{authorization:?} {query:?}"
            );
        }
    }

    #[test]
    fn credentials_of_unreasonable_length_are_not_decoded() {
        let long = format!("Basic {}", "QUFB".repeat(1000));
        assert_eq!(key(Some(&long), None), None);
    }

    #[test]
    fn a_query_gives_its_write_key() {
        let key = |query| of_query(query, &["writeKey"]).map(Cow::into_owned);
        assert_eq!(key("a=1&writeKey=k%20y"), Some("k y".to_owned()));
        assert_eq!(key("writeKey="), None);
        assert_eq!(key("writekey=k"), None);
    }
}
