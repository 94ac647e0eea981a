use std::borrow::Cow;
use std::sync::OnceLock;

use proptest::prelude::*;
use tidegate_event::{EventType, Json, Outcome, Timestamp};

use super::*;
use crate::fixture::sent;
use crate::protocols::native;

const LIMITS: Limits = Limits {
    event_bytes_max: 32 << 10,
    batch_events_max: 2_500,
    members_max: 1_000,
    lent_bytes_max: 16 << 20,
};

fn read(body: &str) -> Result<Envelope<'_>, Unreadable> {
    native::read(body.as_bytes(), &LIMITS)
}

fn events(body: &str) -> Vec<Decoded<'_>> {
    read(body).unwrap().decode().collect()
}

fn hit(body: &str) -> Result<Hit<'_>, DecodeError> {
    let mut events = events(body);
    assert_eq!(events.len(), 1, "{body}");
    events.remove(0).hit
}

fn fault(body: &str) -> (&'static str, String) {
    let error = hit(body).unwrap_err();
    (error.path(), error.to_string())
}

#[test]
fn a_whole_event_is_read_and_borrowed() {
    let body = r#"{"type":"track","event":"Order Completed","anonymousId":"a-1","userId":"u-1",
        "messageId":"m-1","timestamp":"2026-11-22T12:00:00Z","sentAt":1795348801000,
        "properties":{"revenue":42.5},"traits":{"plan":"pro"},
        "context":{"page":{"path":"/"},"consent":{"granted":true}},"writeKey":"k","unknown":[1]}"#;
    let envelope = read(body).unwrap();
    assert_eq!(envelope.write_key.as_deref(), Some("k"));
    assert!(envelope.single);
    assert_eq!(envelope.anonymous_ids().collect::<Vec<_>>(), ["a-1"]);
    let decoded = events(body).remove(0);
    assert_eq!(decoded.message_id.as_deref(), Some("m-1"));
    assert_eq!(decoded.raw, body);
    let hit = decoded.hit.unwrap();
    assert_eq!(hit.kind, EventType::Track);
    assert!(matches!(hit.name, Cow::Borrowed("Order Completed")));
    assert!(matches!(
        sent(&hit).anonymous_id,
        Some(Cow::Borrowed("a-1"))
    ));
    assert_eq!(sent(&hit).user_id.as_deref(), Some("u-1"));
    assert_eq!(hit.occurred_at, Some(Timestamp(1_795_348_800_000)));
    assert_eq!(hit.sent_at, Some(Timestamp(1_795_348_801_000)));
    assert_eq!(
        hit.timestamp_as_sent.as_deref(),
        Some("2026-11-22T12:00:00Z")
    );
    assert!(matches!(
        hit.properties.raw,
        Cow::Borrowed(r#"{"revenue":42.5}"#)
    ));
    assert_eq!(
        hit.properties.value.get("revenue"),
        Some(&Json::Float(42.5))
    );
    assert_eq!(hit.traits.raw, r#"{"plan":"pro"}"#);
    assert_eq!(hit.lent_consents, []);
    assert!(!hit.server_channel);
}

#[test]
fn an_unreadable_request_is_refused_as_a_whole() {
    let deep = "[".repeat(100_000);
    let deep_event = format!("{{\"properties\":{deep}");
    for (body, expected) in [
        ("", Unreadable::Empty),
        (" \n\t ", Unreadable::Empty),
        ("\u{feff}", Unreadable::Empty),
        ("{\"batch\":[]}", Unreadable::Empty),
        ("[]", Unreadable::NotAnObject),
        ("[{\"type\":\"page\"}]", Unreadable::NotAnObject),
        ("null", Unreadable::NotAnObject),
        ("\"track\"", Unreadable::NotAnObject),
        ("12", Unreadable::NotAnObject),
        ("{\"batch\":{}}", Unreadable::BatchNotAnArray),
        ("{\"batch\":\"x\"}", Unreadable::BatchNotAnArray),
        ("{", Unreadable::NotJson { line: 1, column: 1 }),
        ("{}x", Unreadable::NotJson { line: 1, column: 3 }),
        ("{\n\"a\":tru}", Unreadable::NotJson { line: 2, column: 8 }),
        (
            "{\"a\":\"\u{0}\"}",
            Unreadable::NotJson { line: 1, column: 6 },
        ),
        (
            "{\"type\":\"page\"}\u{0}",
            Unreadable::NotJson {
                line: 1,
                column: 16,
            },
        ),
    ] {
        assert_eq!(read(body).unwrap_err(), expected, "{body}");
        assert_eq!(expected.outcome(), Outcome::Invalid);
    }
    assert!(matches!(
        read(&deep_event).unwrap_err(),
        Unreadable::NotJson { .. }
    ));
    assert_eq!(
        native::read(b"{\"a\":\"\xff\"}", &LIMITS).unwrap_err(),
        Unreadable::NotUtf8 { at: 6 }
    );
}

#[test]
fn too_many_events_are_refused_before_any_is_decoded() {
    let batch = |count: usize| format!("{{\"batch\":[{}0]}}", "0,".repeat(count - 1));
    let error = read(&batch(100_000)).unwrap_err();
    assert_eq!(error, Unreadable::TooManyEvents { max: 2_500 });
    assert_eq!(error.outcome(), Outcome::TooLarge);
    assert_eq!(read(&batch(2_500)).unwrap().events(), 2_500);
    assert!(read(&batch(2_501)).is_err());
}

#[test]
fn one_bad_event_never_harms_its_neighbours() {
    let body = r#"{"batch":[
        {"type":"page","messageId":"m-0"}, null, 7, "x", [{"type":"page"}], {},
        {"type":"track","messageId":"m-6"}, {"type":"page","properties":{"a":1e999}},
        {"type":"page","properties":{"a":"\ud83d"}}, {"type":"page","userId":"\ud83d"},
        {"type":"page","messageId":"m-10"}]}"#;
    assert!(!read(body).unwrap().single);
    let events = events(body);
    let results: Vec<_> = events
        .iter()
        .map(|event| {
            event
                .hit
                .as_ref()
                .map(|hit| hit.kind)
                .map_err(DecodeError::path)
        })
        .collect();
    assert_eq!(
        results,
        [
            Ok(EventType::Page),
            Err("$"),
            Err("$"),
            Err("$"),
            Err("$"),
            Err("type"),
            Err("event"),
            Err("properties"),
            Ok(EventType::Page),
            Ok(EventType::Page),
            Ok(EventType::Page),
        ]
    );
    assert_eq!(events[6].message_id.as_deref(), Some("m-6"));
    assert_eq!(events[10].message_id.as_deref(), Some("m-10"));
    assert_eq!(events[4].raw, r#"[{"type":"page"}]"#);
    // Half an emoji is replaced, in an object as in an id.
    let mended = events[8].hit.as_ref().unwrap();
    assert_eq!(mended.properties.raw, r#"{"a":"\ufffd"}"#);
    let text = mended.properties.value.get("a").and_then(Json::as_str);
    assert_eq!(text, Some("\u{fffd}"));
}

#[test]
fn bytes_that_are_no_text_harm_only_their_event() {
    let batch = |bad: &[u8]| {
        let mut body =
            br#"{"batch":[{"type":"track","event":"A","anonymousId":"a"},{"n":""#.to_vec();
        body.extend_from_slice(bad);
        body.extend_from_slice(
            br#""},{"type":"track","event":"\u00e9\"","anonymousId":"b"}],"writeKey":"k"}"#,
        );
        body
    };
    for bad in [b"\xff".as_slice(), b"a\0", b"\xc3", b"\n\x80\xf0\x9f"] {
        let (body, kept) = (batch(bad), OnceLock::new());
        let envelope = native::read_or_salvage(&body, &kept, &LIMITS).unwrap();
        assert_eq!(envelope.write_key.as_deref(), Some("k"));
        let decoded: Vec<_> = envelope.decode().collect();
        let hits: Vec<_> = decoded.iter().map(|event| event.hit.is_ok()).collect();
        assert_eq!(hits, [true, false, true], "{bad:?}");
        let reason = decoded[1].hit.as_ref().unwrap_err().to_string();
        assert!(reason.contains("no text at byte"), "{reason}");
    }
}

#[test]
fn bytes_that_are_no_text_outside_of_the_events_make_the_request_unreadable() {
    for body in [
        b"{\"batch\":[{\"type\":\"page\"}],\"writeKey\":\"\xff\"}".as_slice(),
        b"{\"batch\":[{\"type\":\"page\"}\xff]}",
        b"\xff",
        b"{\"batch\":[{\"type\":\"\xff",
    ] {
        let kept = OnceLock::new();
        let unreadable = native::read_or_salvage(body, &kept, &LIMITS).unwrap_err();
        assert!(matches!(unreadable, Unreadable::NotUtf8 { .. }), "{body:?}");
    }
}

#[test]
fn each_fault_names_its_path_and_never_a_value() {
    for (body, path) in [
        (r"{}", "type"),
        (r#"{"type":null}"#, "type"),
        (r#"{"type":""}"#, "type"),
        (r#"{"type":"SECRET"}"#, "type"),
        (r#"{"type":7}"#, "type"),
        (r#"{"type":"track"}"#, "event"),
        (r#"{"type":"track","event":""}"#, "event"),
        (r#"{"type":"track","event":{"SECRET":1}}"#, "event"),
        (r#"{"type":"page","name":["SECRET"]}"#, "name"),
        (r#"{"type":"page","anonymousId":true}"#, "anonymousId"),
        (r#"{"type":"page","userId":["SECRET"]}"#, "userId"),
        (r#"{"type":"page","messageId":{}}"#, "messageId"),
        (r#"{"type":"page","properties":"SECRET"}"#, "properties"),
        (r#"{"type":"page","properties":[1]}"#, "properties"),
        (r#"{"type":"track","event":1e400}"#, "event"),
        (r#"{"type":"page","timestamp":1e400}"#, "timestamp"),
        (r#"{"type":"identify","traits":false}"#, "traits"),
        (r#"{"type":"page","context":1}"#, "context"),
        (
            r#"{"type":"page","context":{"traits":"SECRET"}}"#,
            "context.traits",
        ),
        (r#"{"type":"page","timestamp":"SECRET"}"#, "timestamp"),
        (r#"{"type":"page","timestamp":[]}"#, "timestamp"),
        (
            r#"{"type":"page","originalTimestamp":"SECRET"}"#,
            "originalTimestamp",
        ),
        (r#"{"type":"alias"}"#, "previousId"),
        (r#"{"type":"group"}"#, "groupId"),
    ] {
        let (found, reason) = fault(body);
        assert_eq!(found, path, "{body}");
        assert!(reason.contains(path), "{reason}");
        assert!(!reason.contains("SECRET"), "{reason}");
    }
}

#[test]
fn ids_may_be_numbers_and_have_their_limits() {
    let event = hit(r#"{"type":"page","userId":12345678901,"anonymousId":-1.5,"messageId":7}"#);
    let event = event.unwrap();
    assert_eq!(sent(&event).user_id.as_deref(), Some("12345678901"));
    assert_eq!(sent(&event).anonymous_id.as_deref(), Some("-1.5"));
    assert_eq!(event.message_id.as_deref(), Some("7"));
    for (name, max) in [("messageId", 100), ("userId", 200), ("anonymousId", 200)] {
        let body = |len| {
            format!(
                "{{\"type\":\"page\",\"{name}\":\"{}\"}}",
                "é".repeat(len / 2)
            )
        };
        assert!(hit(&body(max)).is_ok(), "{name}");
        let error = hit(&body(max + 2)).unwrap_err();
        assert_eq!(error, DecodeError::TooLong { path: name, max });
    }
    let empty = r#"{"type":"page","userId":"","anonymousId":null,"messageId":""}"#;
    let empty = hit(empty).unwrap();
    assert_eq!(
        (
            sent(&empty).user_id.as_deref(),
            sent(&empty).anonymous_id.as_deref(),
            empty.message_id.as_deref()
        ),
        (None, None, None)
    );
}

#[test]
fn a_number_as_an_id_keeps_its_digits() {
    let event = r#"{"type":"page","userId":12345678901234567890,"anonymousId":1.0,
        "previousId":12345678901234567891234,"messageId":1e3}"#;
    let envelope = read(event).unwrap();
    assert_eq!(envelope.anonymous_ids().collect::<Vec<_>>(), ["1"]);
    let event = hit(event).unwrap();
    assert_eq!(
        sent(&event).user_id.as_deref(),
        Some("12345678901234567890")
    );
    assert_eq!(sent(&event).anonymous_id.as_deref(), Some("1"));
    assert_eq!(
        sent(&event).previous_id.as_deref(),
        Some("12345678901234567891234")
    );
    assert_eq!(event.message_id.as_deref(), Some("1000"));
}

#[test]
fn half_an_emoji_costs_no_event() {
    let name = |body| hit(body).unwrap().name.into_owned();
    assert_eq!(
        name(r#"{"type":"track","event":"Clicked: so good \ud83d"}"#),
        "Clicked: so good \u{fffd}"
    );
    assert_eq!(
        name(r#"{"type":"page","name":"Menu \ud83c"}"#),
        "Menu \u{fffd}"
    );
    let event = r#"{"type":"identify","userId":"zo\udc00","messageId":"\ud83dm","\ud83d":1,
        "channel":"\ud83d","writeKey":"k"}"#;
    let envelope = read(event).unwrap();
    assert_eq!(envelope.write_key.as_deref(), Some("k"));
    let event = hit(event).unwrap();
    assert_eq!(sent(&event).user_id.as_deref(), Some("zo\u{fffd}"));
    assert_eq!(event.message_id.as_deref(), Some("\u{fffd}m"));
    // A whole batch with one in a member of its own.
    let batch = r#"{"batch":[{"type":"page"}],"sentAt":"\ud83d","writeKey":"k"}"#;
    assert!(read(batch).unwrap().decode().all(|event| event.hit.is_ok()));
}

#[test]
fn a_refused_event_names_its_message() {
    for event in [
        r#"{"type":"dance","messageId":"m-1"}"#,
        r#"{"type":"track","event":{},"messageId":"m-1"}"#,
        r#"{"type":"track","event":1e400,"messageId":"m-1"}"#,
        r#"{"messageId":"m-1","type":"page","properties":{"a":1e400}}"#,
        r#"{"type":"identify","userId":true,"name":"\ud83d","messageId":"m-1"}"#,
    ] {
        let event = &events(event)[0];
        assert!(event.hit.is_err());
        assert_eq!(event.message_id.as_deref(), Some("m-1"), "{}", event.raw);
    }
}

#[test]
fn an_empty_php_array_is_an_empty_object() {
    for body in [
        r#"{"type":"track","event":"Viewed","properties":[]}"#,
        r#"{"type":"identify","userId":"p1","traits":[ ]}"#,
        r#"{"type":"track","event":"Viewed","context":[]}"#,
        r#"{"type":"track","event":"Viewed","context":{"traits":[]}}"#,
    ] {
        let event = hit(body).unwrap();
        assert_eq!((&*event.properties.raw, &*event.traits.raw), ("{}", "{}"));
    }
    // An array of which PHP's array_filter removed some.
    let batch =
        r#"{"batch":{"0":{"type":"page","messageId":"a"},"2":{"type":"page","messageId":"b"}}}"#;
    let ids: Vec<_> = events(batch)
        .into_iter()
        .map(|event| event.message_id)
        .collect();
    assert_eq!(ids, [Some(Cow::Borrowed("a")), Some(Cow::Borrowed("b"))]);
    for bad in [r#"{"batch":{"0":{},"x":{}}}"#, r#"{"batch":{}}"#] {
        assert_eq!(read(bad).unwrap_err(), Unreadable::BatchNotAnArray);
    }
    let many = format!("{{\"batch\":{{{}\"0\":0}}}}", "\"0\":0,".repeat(2_500));
    assert_eq!(
        read(&many).unwrap_err(),
        Unreadable::TooManyEvents { max: 2_500 }
    );
}

#[test]
fn a_word_that_is_no_json_costs_only_its_event() {
    for bad in [
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
        "True",
        "None",
        ".5",
        "+1",
        "01",
        "0x1F",
        "1.",
        "[1,]",
        "{\"a\":1,}",
        "ÿ",
    ] {
        let body = format!(
            r#"{{"batch":[{{"type":"page","messageId":"nan-1"}},
            {{"type":"page","messageId":"nan-2","properties":{{"ratio":{bad}}}}},
            {{"type":"page","messageId":"nan-3","properties":{{"a":"NaN, }}"}}}}],"writeKey":"k"}}"#
        );
        let kept = OnceLock::new();
        let envelope = native::read_or_salvage(body.as_bytes(), &kept, &LIMITS).unwrap();
        assert_eq!(envelope.write_key.as_deref(), Some("k"));
        let decoded: Vec<_> = envelope.decode().collect();
        let good: Vec<_> = decoded.iter().map(|event| event.hit.is_ok()).collect();
        assert_eq!(good, [true, false, true], "{bad}");
        assert_eq!(decoded[1].message_id.as_deref(), Some("nan-2"), "{bad}");
        let reason = decoded[1].hit.as_ref().unwrap_err().to_string();
        assert!(reason.contains("not JSON"), "{reason}");
        assert_eq!(
            decoded[2].hit.as_ref().unwrap().properties.raw,
            r#"{"a":"NaN, }"}"#
        );
    }
}

#[test]
fn a_word_outside_of_the_events_is_not_overlooked() {
    for body in [
        r#"{"batch":[{"type":"page"}],"context":{"consent":nope}}"#,
        r#"{"batch":[{"type":"page"},NaN]"#,
        r#"{"batch":[{"type":"page"},{a:1}]}"#,
        "NaN",
    ] {
        let kept = OnceLock::new();
        let unreadable = native::read_or_salvage(body.as_bytes(), &kept, &LIMITS).unwrap_err();
        assert!(matches!(unreadable, Unreadable::NotJson { .. }), "{body}");
    }
}

#[test]
fn an_object_has_so_many_members_and_no_more() {
    let members = |count: usize| {
        let all: Vec<_> = (0..count).map(|at| format!("\"m{at}\":0")).collect();
        format!("{{{}}}", all.join(","))
    };
    let max = LIMITS.members_max;
    for path in ["context", "properties", "traits"] {
        for nested in [false, true] {
            let body = |count| {
                let object = members(count);
                let object = if nested {
                    format!("{{\"a\":[{object}]}}")
                } else {
                    object
                };
                format!("{{\"type\":\"page\",\"messageId\":\"m\",\"{path}\":{object}}}")
            };
            assert!(hit(&body(max)).is_ok(), "{path}");
            let error = hit(&body(max + 1)).unwrap_err();
            assert_eq!(error, DecodeError::TooManyMembers { path, max });
        }
    }
    let batch = |count| {
        format!(
            r#"{{"batch":[{{"type":"page"}}],"context":{}}}"#,
            members(count)
        )
    };
    assert!(hit(&batch(max)).is_ok());
    assert!(hit(&batch(max + 1)).is_err());
}

#[test]
fn a_batch_lends_so_many_bytes_and_no_more() {
    let context = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000));
    let limits = Limits {
        lent_bytes_max: 3 * context.len(),
        ..LIMITS
    };
    let event = r#"{"type":"page","messageId":"m"}"#;
    let body = format!(r#"{{"batch":[{event},{event},{event},{event}],"context":{context}}}"#);
    let envelope = native::read(body.as_bytes(), &limits).unwrap();
    let ends: Vec<_> = envelope.decode().map(|event| event.hit.err()).collect();
    assert_eq!(ends[..3], [None, None, None]);
    let error = ends[3].clone().unwrap();
    assert_eq!(error.outcome(), Outcome::TooLarge);
    assert!(error.to_string().contains("fewer events"), "{error}");
}

/// The CPU time of this thread in nanoseconds.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

/// Decodes 2,400 events with 240 members each; gives the CPU time.
fn cost(lent: &str) -> u64 {
    let own: Vec<_> = (0..240).map(|at| format!("\"o{at}\":0")).collect();
    let event = format!(r#"{{"type":"page","context":{{{}}}}}"#, own.join(","));
    let events = vec![event.as_str(); 2_400].join(",");
    let body = format!(r#"{{"batch":[{events}],"context":{lent}}}"#);
    let before = cpu();
    let envelope = read(&body).unwrap();
    let bytes: usize = envelope.decode().map(|event| event.raw.len()).sum();
    assert!(bytes > 0);
    cpu() - before
}

#[test]
fn a_lent_context_costs_little_beside_its_events() {
    let context = |members: usize| {
        let all: Vec<_> = (0..members).map(|at| format!("\"{at:x}\":0")).collect();
        format!("{{{}}}", all.join(","))
    };
    let best = |lent: &str| (0..3).map(|_| cost(lent)).min().unwrap();
    let alone = best("{}");
    for members in [5_000, LIMITS.members_max, 100] {
        // The best of three: other tests run beside this one.
        let lent = (0..3).map(|_| cost(&context(members))).min().unwrap();
        assert!(
            lent < 4 * alone,
            "{members} members: {lent:?}, without {alone:?}"
        );
    }
}

#[test]
fn an_own_member_replaces_the_lent_one() {
    let body = r#"{"batch":[{"type":"page","context":{"consent":null,"b":2}}],
        "context":{"a":1,"consent":{"granted":false},"b":1,"a":3,"\u0062":9}}"#;
    let hit = hit(body).unwrap();
    assert_eq!(hit.context.raw, r#"{"a":3,"consent":null,"b":2}"#);
    let (_, lent) = &hit.lent_consents[0];
    assert_eq!(lent.get("granted"), Some(&Json::Bool(false)));
}

#[test]
fn every_lent_consent_member_counts() {
    let body = r#"{"batch":[{"type":"page","context":{"consent":true,"consentManagement":null}}],
        "context":{"consent":false,"consentManagement":{"deniedConsentIds":["C0002"]},"c":1}}"#;
    let lent = hit(body).unwrap().lent_consents;
    assert_eq!(lent.len(), 2);
    assert_eq!(lent[0].1, Json::Bool(false));
    assert!(lent[1].1.get("deniedConsentIds").is_some());
}

#[test]
fn nesting_is_bounded_wherever_it_stands() {
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    for name in ["properties", "traits", "context"] {
        let body = |levels| format!("{{\"type\":\"page\",\"{name}\":{}}}", nested(levels));
        assert!(hit(&body(31)).is_ok(), "{name}");
        let error = hit(&body(32)).unwrap_err();
        let expected = DecodeError::TooDeep {
            path: name,
            max: DEPTH_MAX,
        };
        assert_eq!(error, expected);
        assert!(hit(&body(2_000)).is_err());
    }
    // What is not kept may be as deep as it likes; an id may not.
    assert!(hit(&format!("{{\"type\":\"page\",\"x\":{}}}", nested(5_000))).is_ok());
    let in_id = format!("{{\"type\":\"page\",\"userId\":{}}}", nested(5_000));
    assert_eq!(fault(&in_id).0, "userId");
}

#[test]
fn an_event_over_its_limit_keeps_its_id_and_its_neighbours() {
    let big = format!(
        r#"{{"type":"page","messageId":"big","properties":{{"a":"{}"}}}}"#,
        "x".repeat(LIMITS.event_bytes_max)
    );
    let single = events(&big);
    assert_eq!(single[0].message_id.as_deref(), Some("big"));
    let error = single[0].hit.as_ref().unwrap_err();
    assert_eq!(error.outcome(), Outcome::TooLarge);
    let batch = format!(r#"{{"batch":[{{"type":"page"}},{big},{{"type":"page"}}]}}"#);
    let good: Vec<_> = events(&batch)
        .iter()
        .map(|event| event.hit.is_ok())
        .collect();
    assert_eq!(good, [true, false, true]);
}

#[test]
fn an_event_over_its_limit_only_with_its_batchs_context_is_refused_and_a_smaller_one_is_not() {
    let text = |bytes: usize| "x".repeat(bytes);
    let half = text(LIMITS.event_bytes_max / 2);
    let with_context = |context: &str| {
        let large = format!(
            r#"{{"type":"page","messageId":"large","context":{{"own":1}},"properties":{{"a":"{half}"}}}}"#
        );
        let body = format!(r#"{{"batch":[{{"type":"page"}},{large}],"context":{context}}}"#);
        let hits: Vec<_> = events(&body)
            .into_iter()
            .map(|event| event.hit.err())
            .collect();
        hits
    };
    let lent = format!(r#"{{"a":"{half}"}}"#);
    let ends = with_context(&lent);
    assert_eq!(ends[0], None);
    let error = ends[1].as_ref().unwrap();
    assert!(
        matches!(error, DecodeError::TooLargeInBatch { .. }),
        "{error}"
    );
    assert_eq!((error.outcome(), error.path()), (Outcome::TooLarge, "$"));
    for larger in [LIMITS.event_bytes_max, 20 * LIMITS.event_bytes_max] {
        let ends = with_context(&format!(r#"{{"a":"{}"}}"#, text(larger)));
        assert!(ends.iter().all(|end| {
            matches!(end, Some(DecodeError::TooLargeInBatch { bytes, .. }) if *bytes > larger)
        }));
    }
    // It says nothing, and is no part of any event.
    assert_eq!(with_context(&format!("\"{half}\"")), [None, None]);
}

#[test]
fn a_batch_lends_its_context_time_and_channel() {
    let body = r#"{"batch":[
        {"type":"page"},
        {"type":"page","context":{"b":9,"own":1},"sentAt":"2026-01-02T00:00:00Z"},
        {"type":"page","context":{}},
        {"type":"page","context":{"\u0061":0,"b":0}}],
        "context":{"a":[1, 2],"b":"x","consent":{"granted":false}},
        "sentAt":"2026-01-01T00:00:00Z","channel":"server"}"#;
    let events = events(body);
    let hits: Vec<_> = events
        .iter()
        .map(|event| event.hit.as_ref().unwrap())
        .collect();
    let batch_context = r#"{"a":[1, 2],"b":"x","consent":{"granted":false}}"#;
    assert_eq!(hits[0].context.raw, batch_context);
    assert_eq!(
        hits[1].context.raw,
        r#"{"a":[1, 2],"consent":{"granted":false},"b":9,"own":1}"#
    );
    assert_eq!(hits[2].context.raw, batch_context);
    assert_eq!(
        hits[3].context.raw,
        r#"{"consent":{"granted":false},"\u0061":0,"b":0}"#
    );
    for hit in &hits {
        let again: Json<'_> = serde_json::from_str(&hit.context.raw).unwrap();
        assert_eq!(again, hit.context.value);
        assert!(hit.server_channel);
        assert_eq!(hit.lent_consents, []);
    }
    let day = |day: &str| Timestamp::parse_rfc3339(&format!("2026-01-{day}T00:00:00Z"));
    assert_eq!((hits[0].sent_at, hits[1].sent_at), (day("01"), day("02")));
}

#[test]
fn a_bad_time_of_sending_costs_nothing() {
    let at = |body: &str, header| -> Vec<_> {
        let envelope = read(body).unwrap().or_sent_at(header);
        let hits = envelope.decode().map(|event| event.hit.unwrap());
        hits.map(|hit| hit.sent_at).collect()
    };
    let known = Some(Timestamp(1_795_348_800_000));
    let header = Some("2026-11-22T12:00:00Z");
    let bad = r#"{"batch":[{"type":"page"},{"type":"page","sentAt":1795348800}],"sentAt":"?","context":4}"#;
    assert_eq!(at(bad, None), [None, known]);
    assert_eq!(at(bad, header), [known, known]);
    let own = r#"{"batch":[{"type":"page","sentAt":true}],"sentAt":"2026-11-22T12:00:00Z"}"#;
    assert_eq!(at(own, None), [known]);
    assert_eq!(at(r#"{"type":"page","sentAt":"soon"}"#, None), [None]);
}

#[test]
fn a_time_of_zero_counts_as_absent() {
    fn hits<'a>(body: &'a str, header: Option<&'a str>) -> Vec<Hit<'a>> {
        let envelope = read(body).unwrap().or_sent_at(header);
        envelope.decode().map(|event| event.hit.unwrap()).collect()
    }
    let known = Some(Timestamp(1_795_348_800_000));
    let header = Some("2026-11-22T12:00:00Z");
    let never = r#""0001-01-01T00:00:00Z""#;
    for zero in ["0", "0.0", r#""0""#, r#""1970-01-01T00:00:00Z""#, never] {
        let own = format!(r#"{{"type":"page","timestamp":1795348800,"sentAt":{zero}}}"#);
        let hit = hits(&own, None).remove(0);
        assert_eq!((hit.occurred_at, hit.sent_at), (known, None), "{zero}");
        assert_eq!(hits(&own, header)[0].sent_at, known, "{zero}: the header's");
        let batch = format!(
            r#"{{"batch":[{{"type":"page"}},{{"type":"page","sentAt":1795348800}}],"sentAt":{zero}}}"#
        );
        let sent: Vec<_> = hits(&batch, None).iter().map(|hit| hit.sent_at).collect();
        assert_eq!(sent, [None, known], "{zero}: the batch's");
        let text = Some(zero.trim_matches('"'));
        assert_eq!(hits(r#"{"type":"page"}"#, text)[0].sent_at, None);
        let original =
            format!(r#"{{"type":"page","originalTimestamp":{zero},"timestamp":1795348800}}"#);
        assert_eq!(hits(&original, None)[0].occurred_at, known, "{zero}");
        let unset = format!(r#"{{"type":"page","timestamp":{zero}}}"#);
        let hit = hits(&unset, None).remove(0);
        assert_eq!((hit.occurred_at, hit.timestamp_as_sent), (None, None));
    }
}

#[test]
fn a_header_says_when_it_was_sent_where_the_body_does_not() {
    let at = |body: &str, header| {
        let envelope = read(body).unwrap().or_sent_at(header);
        let hits: Vec<_> = envelope.decode().map(|event| event.hit.unwrap()).collect();
        hits.iter().map(|hit| hit.sent_at).collect::<Vec<_>>()
    };
    let header = Some("2026-11-22T12:00:00Z");
    let said = Some(Timestamp(1_795_348_800_000));
    assert_eq!(at(r#"{"type":"page"}"#, header), [said]);
    let batch = r#"{"batch":[{"type":"page"},{"type":"page","sentAt":1}]}"#;
    assert_eq!(at(batch, header), [said, Some(Timestamp(1_000))]);
    let dated = r#"{"batch":[{"type":"page"}],"sentAt":2}"#;
    assert_eq!(at(dated, header), [Some(Timestamp(2_000))]);
    assert_eq!(at(r#"{"type":"page"}"#, Some("soon")), [None]);
}

#[test]
fn duplicate_members_count_once_and_the_last_wins() {
    let body = r#"{"type":"page","type":"track","event":"a","event":"b",
        "properties":{"x":1},"properties":{"x":2,"x":3}}"#;
    let event = hit(body).unwrap();
    assert_eq!((event.kind, &*event.name), (EventType::Track, "b"));
    assert_eq!(event.properties.value.get("x"), Some(&Json::Int(3)));
}

#[test]
fn names_traits_and_groups_come_from_where_clients_put_them() {
    let name = |body| hit(body).unwrap().name.into_owned();
    assert_eq!(
        name(r#"{"type":"page","name":"A","properties":{"name":"B"}}"#),
        "A"
    );
    assert_eq!(name(r#"{"type":"screen","properties":{"name":"B"}}"#), "B");
    assert_eq!(name(r#"{"type":"page","properties":{"name":4}}"#), "");
    assert_eq!(name(r#"{"type":"identify","event":"x","name":"y"}"#), "");

    let own = hit(r#"{"type":"identify","traits":{"a":1},"context":{"traits":{"a":2}}}"#);
    assert_eq!(own.unwrap().traits.raw, r#"{"a":1}"#);
    let lent = hit(r#"{"type":"page","context":{"traits": {"a": 2} }}"#).unwrap();
    assert_eq!(lent.traits.raw, r#"{"a": 2}"#);
    assert_eq!(lent.traits.value.get("a"), Some(&Json::Int(2)));

    for (context, expected) in [
        ("null", r#"{"groupId":"g\"1"}"#),
        ("{}", r#"{"groupId":"g\"1"}"#),
        (r#"{"a":1}"#, r#"{"groupId":"g\"1","a":1}"#),
        (r#"{"groupId":"other"}"#, r#"{"groupId":"other"}"#),
    ] {
        let body = format!(r#"{{"type":"group","groupId":"g\"1","context":{context}}}"#);
        let group = hit(&body).unwrap();
        assert_eq!(group.context.raw, expected);
        let again: Json<'_> = serde_json::from_str(&group.context.raw).unwrap();
        assert_eq!(again.get("groupId"), group.context.value.get("groupId"));
    }
}

#[test]
fn the_original_timestamp_goes_before_the_timestamp() {
    let both = r#"{"type":"page","timestamp":"2026-01-02T00:00:00Z","originalTimestamp":"5"}"#;
    let both = hit(both).unwrap();
    assert_eq!(both.occurred_at, Some(Timestamp(5_000)));
    assert_eq!(both.timestamp_as_sent.as_deref(), Some("5"));
    // A bad one hides no good one.
    let bad = r#"{"type":"page","timestamp":"2026-11-22T12:00:00Z","originalTimestamp":"soon"}"#;
    let bad = hit(bad).unwrap();
    assert_eq!(bad.occurred_at, Some(Timestamp(1_795_348_800_000)));
    let none = hit(r#"{"type":"page","timestamp":"","sentAt":null}"#).unwrap();
    assert_eq!((none.occurred_at, none.sent_at), (None, None));
    assert_eq!(none.timestamp_as_sent, None);
}

const RECORDINGS: [(&str, &str); 4] = [
    (
        "segment-node",
        include_str!("../../../../tests/fixtures/wire/segment-node.jsonl"),
    ),
    (
        "segment-browser",
        include_str!("../../../../tests/fixtures/wire/segment-browser.jsonl"),
    ),
    (
        "segment-python",
        include_str!("../../../../tests/fixtures/wire/segment-python.jsonl"),
    ),
    (
        "segment-go",
        include_str!("../../../../tests/fixtures/wire/segment-go.jsonl"),
    ),
];

/// Every recorded request of a real SDK decodes, event by event.
#[test]
fn recorded_requests_of_segments_clients_decode() {
    for (client, recording) in RECORDINGS {
        let mut kinds = Vec::new();
        for line in recording.lines() {
            let line: Json<'_> = serde_json::from_str(line).unwrap();
            let Some(body) = line.get("body").and_then(Json::as_str) else {
                continue;
            };
            let envelope = read(body).unwrap();
            for event in envelope.decode() {
                let hit = event
                    .hit
                    .unwrap_or_else(|error| panic!("{client}: {error}"));
                assert!(hit.message_id.is_some() && hit.occurred_at.is_some());
                assert!(hit.sent_at.is_some(), "{client} sends its clock");
                let ids = sent(&hit);
                assert!(ids.anonymous_id.is_some() || ids.user_id.is_some());
                kinds.push(hit.kind);
            }
        }
        for kind in [
            EventType::Track,
            EventType::Page,
            EventType::Identify,
            EventType::Alias,
        ] {
            assert!(kinds.contains(&kind), "{client} {kind:?}");
        }
    }
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:e}")),
        "\"[a-z\\\\n\u{2028}é]{0,6}\"",
        Just("\"2026-01-01T00:00:00Z\"".to_owned()),
        Just("\"track\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
    ];
    let key = prop_oneof![
        Just("type"),
        Just("event"),
        Just("userId"),
        Just("messageId"),
        Just("timestamp"),
        Just("sentAt"),
        Just("context"),
        Just("properties"),
        Just("traits"),
        Just("batch"),
        Just("page"),
        Just("ip"),
        Just("consent"),
        Just("x"),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((key.clone(), inner), 0..8).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Whatever is decoded holds together: text and value agree, limits hold.
fn check(body: &[u8]) {
    let kept = OnceLock::new();
    let Ok(envelope) = native::read_or_salvage(body, &kept, &LIMITS) else {
        return;
    };
    assert!(envelope.events() > 0);
    for event in envelope.decode() {
        let Ok(hit) = event.hit else { continue };
        for object in [&hit.context, &hit.properties, &hit.traits] {
            let again: Json<'_> = serde_json::from_str(&object.raw).unwrap();
            assert!(again.is_object());
            let (Json::Object(again), Json::Object(value)) = (again, &object.value) else {
                panic!("no object");
            };
            assert!(value.iter().all(|member| again.contains(member)));
        }
        assert!(
            hit.message_id
                .is_none_or(|id| id.len() <= MESSAGE_ID_BYTES_MAX)
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&body);
    }

    #[test]
    fn arbitrary_json_never_panics(body in any_json()) {
        check(body.as_bytes());
        check(format!("{{\"batch\":[{body}],\"context\":{body}}}").as_bytes());
        check(format!("{{\"type\":\"page\",\"context\":{body},\"properties\":{body}}}").as_bytes());
    }

    #[test]
    fn a_cut_body_never_panics(at in 0_usize..400) {
        let body = r#"{"batch":[{"type":"track","event":"é\ud83d\ude00","properties":{"a":[1,2,{"b":null}]}}]}"#;
        check(&body.as_bytes()[..at.min(body.len())]);
    }
}
