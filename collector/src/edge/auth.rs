//! Where the write key stands in a request: Basic user, query, or (found by the decoder) the body.
//! The first one present decides; which source it opens is [`super::sources`]' to say.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;

use super::request::RawHit;

/// Bytes of base64 credentials looked at: no write key is that long.
const CREDENTIALS_BYTES_MAX: usize = 512;

/// The key in the header, else in the query; None leaves the body to say.
pub(super) fn write_key<'a>(hit: &RawHit<'a>) -> Option<Cow<'a, str>> {
    basic_user(hit).or_else(|| query_key(hit.query?))
}

/// `Basic base64(key:)`; some clients leave the colon out.
fn basic_user<'a>(hit: &RawHit<'a>) -> Option<Cow<'a, str>> {
    let value = hit.header(AUTHORIZATION)?;
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

fn query_key(query: &str) -> Option<Cow<'_, str>> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "writeKey" || name == "write_key")
        .map(|(_, key)| key)
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::fake;

    fn key(authorization: Option<&str>, query: Option<&str>) -> Option<String> {
        let mut headers = http::HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        let hit = RawHit {
            query,
            ..fake::raw_hit(&headers)
        };
        write_key(&hit).map(Cow::into_owned)
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
}
