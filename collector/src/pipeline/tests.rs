//! Steps 2 to 4 on hits that the decoder made, as the edge strings them together.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use tidegate_event::consent::ConsentSignal;
use tidegate_event::record::{EventFold, Fold, Record};
use tidegate_event::{Consent, Device, Enriched, Geo, Identity, Json, Purposes, Timestamp};

use super::enrich::{DeviceLookup, GeoLookup, RequestFacts, enrich};
use super::record_json;
use crate::catalog::{Source, SourceKind};
use crate::consent::{Signals, resolve};
use crate::fixture::{self, hit};
use crate::identity::{CookieAction, CookieFacts, Placeholders, identify};

const NOW: Timestamp = Timestamp(1_795_348_800_000);

fn source() -> Source {
    fixture::source(1_800_000)
}

struct Atlas;

impl DeviceLookup for Atlas {
    fn device(&self, user_agent: &str, now: Timestamp) -> Arc<Device> {
        crate::device::embedded().device(user_agent, now)
    }
}

impl GeoLookup for Atlas {
    fn lookup(&self, ip: IpAddr) -> Geo {
        // The address itself, in a form that no test takes for a leak.
        let asn = match ip {
            IpAddr::V4(ip) => u32::from(ip),
            IpAddr::V6(ip) => u32::from(ip.segments()[7]),
        };
        Geo {
            asn: Some(asn),
            ..Geo::default()
        }
    }
}

fn facts<'a>() -> RequestFacts<'a> {
    RequestFacts {
        received_at: NOW,
        client_ip: Some("203.0.113.77".parse().unwrap()),
        user_agent: Some(Cow::Borrowed(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Mobile/15E148",
        )),
        referer: Some(Cow::Borrowed(
            "https://shop.example/from-referer?utm_source=ref",
        )),
        from_back_end: false,
    }
}

fn with_gpc() -> Signals {
    fixture::signals(&[("sec-gpc", "1")], &source())
}

fn run<'a>(body: &'a str, signals: &Signals, source: &Source) -> Enriched<'a> {
    let consented = resolve(hit(body), signals, source).unwrap();
    let cookie = CookieFacts {
        brought: None,
        distinct_anonymous_ids_in_request: 1,
        allowed: source.kind == SourceKind::Web,
    };
    let (identified, _) = identify(consented, &cookie, &Placeholders::default(), &mut || 7);
    let facts = RequestFacts {
        from_back_end: source.kind == SourceKind::Server,
        ..facts()
    };
    enrich(identified, &facts, &Atlas)
}

fn cookie(brought: Option<&str>, distinct: usize) -> CookieFacts<'_> {
    CookieFacts {
        brought,
        distinct_anonymous_ids_in_request: distinct,
        allowed: true,
    }
}

const IDENTIFYING: &str = r#"{"type":"page","userId":"SECRET","anonymousId":"SECRET",
    "groupId":"SECRET","messageId":"m","traits":{"email":"SECRET"},"properties":{"kept":1},
    "context":{"ip":"203.0.113.99","traits":{"a":"SECRET"},"device":{"id":"SECRET"},
    "userAgent":"SECRET","externalIds":["SECRET"],"sessionId":"SECRET","location":{"c":"SECRET"},
    "locale":"sv-SE","page":{"path":"/x"}}}"#;

#[test]
fn anonymous_consent_leaves_no_identifier() {
    let consented = resolve(hit(IDENTIFYING), &with_gpc(), &source()).unwrap();
    let (identified, action) = identify(
        consented,
        &cookie(Some("SECRET"), 1),
        &Placeholders::default(),
        &mut || panic!("nothing is minted"),
    );
    assert_eq!(identified.identity, Identity::Anonymous);
    assert_eq!(action, CookieAction::Keep);
    let enriched = enrich(identified, &facts(), &Atlas);
    assert!(!format!("{enriched:?}").contains("SECRET"));
    assert_eq!(enriched.ip_truncated, None);
    assert_eq!(enriched.user_agent, None);
    assert_eq!(enriched.hit.properties.raw, r#"{"kept":1}"#);
    assert_eq!(enriched.page.path.as_deref(), Some("/x"));
    assert_eq!(
        enriched.hit.context.raw,
        r#"{"locale":"sv-SE","page":{"path":"/x"}}"#
    );
    let json = record(&enriched);
    for secret in ["SECRET", "203.0.113", "iPhone"] {
        assert!(!json.contains(secret), "{secret}: {json}");
    }
}

// Enrichment.

#[test]
fn event_time_corrects_the_clients_clock_and_is_clamped() {
    const HOUR: i64 = 3_600_000;
    // (occurred, sent) relative to receipt, in hours -> event time
    for (occurred, sent, expected) in [
        (None, None, 0),
        (None, Some(5), 0),
        (Some(-2), Some(-1), -1),
        (Some(100), Some(101), -1),
        (Some(-1), None, -1),
        (Some(1), None, 0),
        (Some(2), Some(1), 0),
        (Some(-100), Some(0), -72),
        (Some(-100), None, -72),
    ] {
        let mut body = r#"{"type":"page""#.to_owned();
        for (name, at) in [("timestamp", occurred), ("sentAt", sent)] {
            if let Some(at) = at {
                body.push_str(&format!(",\"{name}\":{}", NOW.0 + at * HOUR));
            }
        }
        body.push('}');
        let found = run(&body, &Signals::default(), &source()).event_time;
        assert_eq!(found.since(NOW), expected * HOUR, "{occurred:?} {sent:?}");
    }
    for absurd in [
        "1e300",
        "-1e300",
        "9223372036854775807",
        "-9223372036854775808",
    ] {
        for body in [
            format!(r#"{{"type":"page","timestamp":{absurd}}}"#),
            format!(r#"{{"type":"page","timestamp":{absurd},"sentAt":0}}"#),
            format!(r#"{{"type":"page","timestamp":0,"sentAt":{absurd}}}"#),
        ] {
            let found = run(&body, &Signals::default(), &source()).event_time;
            assert!((-72 * HOUR..=0).contains(&found.since(NOW)), "{body}");
        }
    }
}

#[test]
fn the_full_address_ends_in_enrich() {
    let body = r#"{"type":"page","anonymousId":"a",
        "context":{"ip":"198.51.100.4","\u0069p":"198.51.100.5","locale":"en"}}"#;
    let enriched = run(body, &Signals::default(), &source());
    assert_eq!(enriched.geo.asn, Some(0xcb00_714d));
    assert_eq!(enriched.ip_truncated.as_deref(), Some("203.0.113.0"));
    assert_eq!(enriched.hit.context.raw, r#"{"locale":"en"}"#);
    let json = record(&enriched);
    assert!(!json.contains("198.51") && json.contains(r#""ip":"203.0.113.0""#));
}

#[test]
fn a_server_side_event_speaks_for_its_own_visitor() {
    let server = Source {
        kind: SourceKind::Server,
        ..source()
    };
    let body = r#"{"type":"page","userId":"u","context":{"ip":"2001:db8:1:2:3::4",
        "userAgent":"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X)"}}"#;
    let enriched = run(body, &Signals::default(), &server);
    assert_eq!(enriched.geo.asn, Some(4));
    assert_eq!(enriched.ip_truncated.as_deref(), Some("2001:db8:1::"));
    assert_eq!(enriched.device.class.as_str(), "tablet");
    assert_eq!(enriched.page.url, None);
    let silent = run(
        r#"{"type":"page","userId":"u"}"#,
        &Signals::default(),
        &server,
    );
    assert_eq!(silent.geo, Geo::default());
    assert_eq!(silent.device.class.as_str(), "unknown");
}

#[test]
fn a_back_ends_address_is_read_in_every_form() {
    let server = Source {
        kind: SourceKind::Server,
        ..source()
    };
    let london = Some(0x5102_45a0);
    for (ip, expected) in [
        (r#""81.2.69.160""#, london),
        (r#""81.2.69.160:55220""#, london),
        (r#""81.2.69.160, 10.0.0.3""#, london),
        (r#"["81.2.69.160", "10.0.0.3"]"#, london),
        (r#""[2001:218::7]""#, Some(7)),
        (r#""[2001:218::7]:443""#, Some(7)),
        (r#""somewhere""#, None),
    ] {
        let body = format!(r#"{{"type":"page","userId":"u","context":{{"ip":{ip}}}}}"#);
        let found = run(&body, &Signals::default(), &server);
        assert_eq!(found.geo.asn, expected, "{ip}");
        assert_eq!(found.ip_truncated.is_some(), expected.is_some(), "{ip}");
        assert_eq!(found.hit.context.raw, "{}");
    }
}

#[test]
fn a_web_keys_channel_does_not_vouch_for_an_address() {
    let body = r#"{"type":"page","userId":"u","channel":"server","context":{"ip":"81.2.69.160",
        "userAgent":"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X)"}}"#;
    let found = run(body, &Signals::default(), &source());
    assert_eq!(found.ip_truncated.as_deref(), Some("203.0.113.0"));
    assert_eq!(found.geo.asn, Some(0xcb00_714d));
    assert_eq!(found.device.class.as_str(), "mobile");
}

#[test]
fn no_full_address_is_left_in_any_object() {
    let body = r#"{"type":"identify","userId":"u","properties":{"ip":"81.2.69.160"},
        "traits":{"last":{"ip_address":"81.2.69.161:80"}},
        "context":{"IP":"81.2.69.162","device":{"ipAddress":"81.2.69.163"},"a":1}}"#;
    let found = run(body, &Signals::default(), &source());
    let json = record(&found);
    assert!(!json.contains("81.2.69.16"), "{json}");
    assert!(json.contains(r#""ip":"81.2.69.0""#), "{json}");
    let anonymous = run(body, &with_gpc(), &source());
    assert!(!record(&anonymous).contains("81.2.69"), "{anonymous:?}");
}

#[test]
fn an_empty_header_hides_nothing() {
    let body = r#"{"type":"page","context":{"userAgent":"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X)"}}"#;
    let consented = resolve(hit(body), &Signals::default(), &source()).unwrap();
    let placeholders = Placeholders::default();
    let (identified, _) = identify(consented, &cookie(None, 0), &placeholders, &mut || 7);
    let facts = RequestFacts {
        user_agent: Some("".into()),
        referer: Some("".into()),
        ..facts()
    };
    let enriched = enrich(identified, &facts, &Atlas);
    assert_eq!(enriched.device.class.as_str(), "tablet");
    assert_eq!(enriched.page.url, None);
}

#[test]
fn a_clamped_event_keeps_its_own_time() {
    let body = r#"{"type":"page","timestamp":"2026-11-01T12:00:00Z"}"#;
    let enriched = run(body, &Signals::default(), &source());
    assert!(enriched.clamped);
    let json = record(&enriched);
    let kept = r#","occurred_at":"2026-11-01T12:00:00.000Z","clamped":true,"#;
    assert!(json.contains(kept), "{json}");
    let within = run(
        r#"{"type":"page","timestamp":"2026-11-22T11:00:00Z"}"#,
        &Signals::default(),
        &source(),
    );
    assert!(!within.clamped);
    let json = record(&within);
    assert!(
        json.contains("occurred_at") && !json.contains("clamped"),
        "{json}"
    );
    let undated = record(&run(r#"{"type":"page"}"#, &Signals::default(), &source()));
    assert!(!undated.contains("occurred_at") && !undated.contains("clamped"));
}

#[test]
fn a_path_is_the_same_escaped_and_in_letters() {
    for url in [
        "https://shop.example/%C3%BCber-uns",
        "https://shop.example/über-uns",
    ] {
        let body = format!(r#"{{"type":"page","context":{{"page":{{"url":"{url}"}}}}}}"#);
        let enriched = run(&body, &Signals::default(), &source());
        assert_eq!(enriched.page.path.as_deref(), Some("/über-uns"), "{url}");
        let path = &url["https://shop.example".len()..];
        let body = format!(r#"{{"type":"page","properties":{{"path":"{path}"}}}}"#);
        let enriched = run(&body, &Signals::default(), &source());
        assert_eq!(enriched.page.path.as_deref(), Some("/über-uns"), "{path}");
    }
}

#[test]
fn a_mapped_address_is_an_ipv4_one() {
    let consented = resolve(hit(r#"{"type":"page"}"#), &Signals::default(), &source()).unwrap();
    let (identified, _) = identify(
        consented,
        &cookie(None, 0),
        &Placeholders::default(),
        &mut || 7,
    );
    let facts = RequestFacts {
        client_ip: Some("::ffff:192.0.2.9".parse().unwrap()),
        user_agent: Some(Cow::Owned("é".repeat(400))),
        ..facts()
    };
    let enriched = enrich(identified, &facts, &Atlas);
    assert_eq!(enriched.ip_truncated.as_deref(), Some("192.0.2.0"));
    assert_eq!(enriched.user_agent.unwrap().len(), 512);
}

#[test]
fn the_page_is_told_by_context_then_properties_then_referer() {
    let page = |body: &str| {
        let page = run(body, &Signals::default(), &source()).page;
        [page.url, page.path, page.search, page.referrer_host]
            .map(|part| part.map_or("-".to_owned(), |part| part.into_owned()))
            .join(" ")
    };
    assert_eq!(
        page(r#"{"type":"page"}"#),
        "https://shop.example/from-referer?utm_source=ref /from-referer ?utm_source=ref -"
    );
    assert_eq!(
        page(r#"{"type":"page","properties":{"url":"https://a.example/p?q=1#f"}}"#),
        "https://a.example/p?q=1#f /p ?q=1 -"
    );
    assert_eq!(
        page(
            r#"{"type":"page","properties":{"url":"https://a.example/p","referrer":"https://WWW.News.example:81/x"},
            "context":{"page":{"url":"https:\/\/b.example/own?x","path":"/told","search":""}}}"#
        ),
        "https://b.example/own?x /told ?x news.example"
    );
    // Properties of a track are no page.
    assert_eq!(
        page(r#"{"type":"track","event":"x","properties":{"url":"https://a.example/p"}}"#),
        "https://shop.example/from-referer?utm_source=ref /from-referer ?utm_source=ref -"
    );
}

#[test]
fn the_campaign_is_told_by_context_else_by_the_url() {
    let campaign = |body: &str| {
        let campaign = run(body, &Signals::default(), &source()).campaign;
        [campaign.source, campaign.name, campaign.term]
            .map(|part| part.map_or("-".to_owned(), |part| part.into_owned()))
            .join(" ")
    };
    assert_eq!(campaign(r#"{"type":"page"}"#), "ref - -");
    let url = r#""page":{"url":"https://x/?utm_source=mail&utm_campaign=spring%20sale"}"#;
    let with = |more: &str| format!(r#"{{"type":"page","context":{{{url}{more}}}}}"#);
    assert_eq!(campaign(&with("")), "mail spring sale -");
    assert_eq!(campaign(&with(r#","campaign":{"term":"t"}"#)), "- - t");
    assert_eq!(campaign(&with(r#","campaign":{}"#)), "mail spring sale -");
    assert_eq!(campaign(&with(r#","campaign":"x""#)), "mail spring sale -");
    let escaped = r#"{"type":"page","context":{"page":{"search":"?utm_source=\u0061"}}}"#;
    assert_eq!(campaign(escaped), "a - -");
}

fn record(hit: &Enriched<'_>) -> String {
    let ids = match &hit.identity {
        Identity::Known(ids) => (ids.anonymous_id.as_deref(), ids.user_id.as_deref()),
        Identity::Anonymous => (None, None),
    };
    let record = Record {
        generation: 1,
        decided_at: NOW,
        profile: None,
        anonymous_id: ids.0,
        user_id: ids.1,
        source: "shop",
        kind: hit.hit.kind.as_str(),
        event: &hit.hit.name,
        message_id: hit.hit.message_id.as_deref().unwrap_or("minted"),
        event_time: hit.event_time,
        purposes: Purposes::GRANTED,
        transitions: Vec::new(),
        fold: Fold::Event(EventFold::default()),
    };
    let mut json = b"{".to_vec();
    record_json::write_event(&mut json, &record, hit, true);
    assert!(json.len() <= record_json::event_bytes_max(hit));
    String::from_utf8(json).unwrap()
}

proptest! {
    /// Any readable event becomes one line of JSON that fits what was reserved for it, and nothing
    /// of an anonymous one tells who sent it.
    #[test]
    fn any_event_becomes_one_line_of_json(
        id in ".{0,60}",
        value in "[ -~\u{1}\u{7f}é\n]{0,60}",
        gap in "[ \n\r\t]{0,3}",
        key in "page|campaign|device|ip|userAgent|consent|x|\u{8}",
        gpc in any::<bool>(),
    ) {
        let text = |text: &str| serde_json::to_string(text).unwrap();
        let body = format!(
            "{{\"type\":\"page\",{gap}\"userId\":{},\"name\":{},\"properties\":{{\"url\":{gap}{}}},\
             \"context\":{{{gap}{}:{gap}{{{gap}\"id\":{},\"class\":1}}{gap}}}}}",
            text(&id), text(&value), text(&value), text(&key), text(&value),
        );
        let signals = if gpc { with_gpc() } else { Signals::default() };
        let enriched = run(&body, &signals, &source());
        let line = record(&enriched);
        prop_assert!(!line.contains(['\n', '\r']));
        let json: Json<'_> = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(json.get("event").and_then(Json::as_str), Some(&*value));
        prop_assert_eq!(
            json.at(&["context", "device", "class"]).and_then(Json::as_str),
            Some("mobile")
        );
        if gpc {
            let anonymous = Consent {
                purposes: Purposes::ANONYMOUS,
                signal: ConsentSignal("gpc"),
                gpc: true,
            };
            prop_assert_eq!(enriched.consent, anonymous);
            prop_assert_eq!(json.get("user_id"), Some(&Json::Null));
        }
    }
}
