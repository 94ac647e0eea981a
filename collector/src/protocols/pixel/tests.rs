use std::fmt::Write;

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::value::RawValue;
use tidegate_event::json::write_str;

use super::*;
use crate::fixture::sent;
use crate::pipeline::decode::{DecodeError, Decoded};

const LIMITS: Limits = Limits {
    event_bytes_max: 32 << 10,
    batch_events_max: 2_500,
    members_max: 1_000,
    lent_bytes_max: 16 << 20,
};

fn pixel(query: &str) -> String {
    let kept = OnceLock::new();
    let envelope = read(query, &LIMITS, &kept).unwrap();
    let mut seen = format!("{:?}", envelope.write_key.as_deref().unwrap_or("-"));
    for event in envelope.decode() {
        match &event.hit {
            Ok(hit) => write!(
                seen,
                " {} {:?} {:?} {}",
                hit.kind.as_str(),
                hit.name,
                sent(hit).anonymous_id.as_deref().unwrap_or("-"),
                hit.properties.raw
            ),
            Err(error) => write!(seen, " {error}"),
        }
        .unwrap();
    }
    seen
}

#[test]
fn a_pixel_takes_the_same_as_parameters() {
    for (query, expected) in [
        (
            "writeKey=k&type=track&event=Mail+opened&anonymousId=a%221&properties=%7B%22n%22%3A1%7D",
            r#""k" track "Mail opened" "a\"1" {"n":1}"#,
        ),
        ("event=x", r#""-" track "x" "-" {}"#),
        ("type=page&event=x", r#""-" page "" "-" {}"#),
        ("event=x&type=page", r#""-" page "" "-" {}"#),
        ("anonymousId=a", r#""-" page "" "a" {}"#),
        ("name=Home&nonsense=%7B", r#""-" page "Home" "-" {}"#),
        (
            "type=page&properties=%7Bbroken",
            r#""-" properties must be an object"#,
        ),
        (
            "type=page&properties=1%2C%22userId%22%3A%22x%22",
            r#""-" properties must be an object"#,
        ),
        (
            "type=page&timestamp=x",
            r#""-" timestamp must be an ISO 8601 time, or seconds or milliseconds since 1970"#,
        ),
    ] {
        assert_eq!(pixel(query), expected, "{query}");
    }
    for empty in ["", "writeKey=k", "nonsense=1", "type="] {
        let kept = OnceLock::new();
        let error = read(empty, &LIMITS, &kept).unwrap_err();
        assert_eq!(error, Unreadable::Empty, "{empty}");
    }
}

#[test]
fn a_pixel_takes_base64_in_every_spelling() {
    // Padded, and with bytes that the two alphabets spell differently.
    let body = r#"{"type":"track","event":"??>>~~ÿ","anonymousId":"a","writeKey":"in"}"#;
    for text in [
        STANDARD.encode(body),
        STANDARD_NO_PAD.encode(body),
        URL_SAFE.encode(body),
        URL_SAFE_NO_PAD.encode(body),
    ] {
        let expected = r#""in" track "??>>~~ÿ" "a" {}"#;
        // Raw, where `+` reaches us as a space, and percent-encoded.
        assert_eq!(pixel(&format!("writeKey=out&data={text}")), expected);
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        assert_eq!(pixel(&format!("event=ignored&data={encoded}")), expected);
    }
    for bad in ["data=%25%25", "data=abcde", "data=a"] {
        let kept = OnceLock::new();
        let error = read(bad, &LIMITS, &kept).unwrap_err();
        assert_eq!(error, Unreadable::NotBase64, "{bad}");
    }
    let kept = OnceLock::new();
    let not_json = read("data=aGVsbG8", &LIMITS, &kept).unwrap_err();
    assert!(matches!(not_json, Unreadable::NotJson { .. }));
}

/// The event of parameters as a native body would say it.
fn as_native(query: &str) -> String {
    let (mut text, mut kind) = (String::from("{"), "page");
    let mut out = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if value.is_empty() || matches!(&*name, "nonsense" | "writeKey") {
            continue;
        }
        kind = match &*name {
            "type" => "",
            "event" if !kind.is_empty() => "track",
            _ => kind,
        };
        write_str(&mut out, &name);
        out.push(b':');
        let is_object = matches!(&*name, "context" | "properties" | "traits");
        if is_object && serde_json::from_str::<&RawValue>(&value).is_ok() {
            out.extend_from_slice(value.as_bytes());
        } else {
            write_str(&mut out, &value);
        }
        out.push(b',');
    }
    text.push_str(std::str::from_utf8(&out).unwrap());
    if kind.is_empty() {
        text.pop();
    } else {
        write!(text, "\"type\":\"{kind}\"").unwrap();
    }
    text + "}"
}

fn only(envelope: Envelope<'_>) -> Decoded<'_> {
    let mut events: Vec<_> = envelope.decode().collect();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

/// All that an event is, and how it counts.
fn whole(event: &Decoded<'_>) -> String {
    let ids = event.hit.as_ref().ok().map(sent);
    format!("{event:?} {ids:?}")
}

#[test]
fn parameters_mean_what_the_same_members_mean() {
    for query in [
        "type=track&event=a&event=b&userId=1&userId=2",
        "type=page&type=track&type=&event=x",
        "event=x&name=%00%1f%22%5c%e2%80%a8%ff&anonymousId=%ED%A0%80",
        "type=page&properties=%20%7B%22a%22:1%20%7D%20&traits=null&context=%5B%20%5D",
        "type=page&properties=%7B%7D&properties=x",
        "type=page&properties=x&properties=%7B%22a%22%3A%22%5Cud83d%22%7D",
        "type=page&context=%7B%22a%22:1e999%7D&messageId=m",
        "type=group&groupId=7&context=%7B%22b%22%3A%5B1%5D%7D&nonsense=1&batch=",
        "type=dance&messageId=m&timestamp=0&sentAt=soon&channel=server",
        "type=page&properties=%22x%22",
        "type=page&traits=7&userId=u",
        "type=page&timestamp=2026-01-01T00%3A00%3A00Z&originalTimestamp=5",
    ] {
        let (text, kept) = (as_native(query), OnceLock::new());
        let expected = only(native::read(text.as_bytes(), &LIMITS).unwrap());
        let event = only(read(query, &LIMITS, &kept).unwrap());
        assert_eq!(whole(&event), whole(&expected), "{query}");
        assert_eq!(event.raw, text);
    }
}

#[test]
fn the_size_of_a_pixel_is_that_of_its_text() {
    let query = format!("type=page&name={}", "%22".repeat(100));
    let bytes = as_native(&query).len();
    for (max, fits) in [(bytes, true), (bytes - 1, false)] {
        let limits = Limits {
            event_bytes_max: max,
            ..LIMITS
        };
        let kept = OnceLock::new();
        let event = only(read(&query, &limits, &kept).unwrap());
        assert_eq!(event.bytes, bytes);
        let error = event.hit.err();
        let expected = (!fits).then_some(DecodeError::TooLarge { bytes, max });
        assert_eq!(error, expected);
    }
}

proptest! {
    #[test]
    fn arbitrary_queries_never_panic(query in ".{0,200}") {
        let kept = OnceLock::new();
        let _ = read(&query, &LIMITS, &kept);
    }

    #[test]
    fn parameters_decode_as_their_native_text(
        members in proptest::collection::vec(
            ("(type|event|name|userId|messageId|timestamp|context|properties|nonsense)", "(track|page|[0-9]{1,3}|\\{\"a\":[0-9]\\}|\\[\\]|.{0,4})"),
            1..8,
        ),
    ) {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&members)
            .finish();
        let (text, kept) = (as_native(&query), OnceLock::new());
        if let Ok(envelope) = read(&query, &LIMITS, &kept) {
            let expected = only(native::read(text.as_bytes(), &LIMITS).unwrap());
            prop_assert_eq!(whole(&only(envelope)), whole(&expected));
        }
    }
}
