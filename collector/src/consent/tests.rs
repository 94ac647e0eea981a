//! Step 2 on hits that the decoder made.

use tidegate_event::consent::ConsentSignal;
use tidegate_event::{Identity, Purposes};

use super::{Signals, dnt, gpc, of_request, resolve, sample, source_default, tag};
use crate::catalog::{ConsentDefault, ConsentMeaning, GpcPolicy, Source, SourceKind};
use crate::fixture::{self, hit};
use crate::identity::{CookieFacts, Placeholders, identify};

fn source() -> Source {
    fixture::source(1_800_000)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn the_strictest_signal_decides() {
    use ConsentDefault::{Anonymous as ByDefaultAnonymous, Denied, Granted as ByDefaultGranted};
    const DEFAULT: ConsentSignal = source_default::NAME;
    const DNT: ConsentSignal = dnt::SIGNAL.name;
    const GPC: ConsentSignal = gpc::SIGNAL.name;
    const TAG: ConsentSignal = tag::SIGNAL.name;
    const GRANTED: Purposes = Purposes::GRANTED;
    const NO_SHARE: Purposes = Purposes::NO_SHARE;
    const ANONYMOUS: Purposes = Purposes::ANONYMOUS;
    let none = "";
    let yes = r#","context":{"consent":{"granted":true}}"#;
    let no = r#","context":{"consent":{"granted":false}}"#;
    let no_ads = r#","context":{"consent":{"ad_storage":"denied"}}"#;
    let keep = GpcPolicy::NoShare;
    let hide = GpcPolicy::Anonymous;
    // (tag, default, gpc sent, policy, dnt sent and counted) -> (state, signal)
    for (tag, default, gpc, policy, dnt, expected) in [
        (
            none,
            ByDefaultGranted,
            false,
            hide,
            false,
            Some((GRANTED, DEFAULT)),
        ),
        (
            none,
            ByDefaultAnonymous,
            false,
            hide,
            false,
            Some((ANONYMOUS, DEFAULT)),
        ),
        (none, Denied, false, hide, false, None),
        (
            yes,
            ByDefaultGranted,
            false,
            hide,
            false,
            Some((GRANTED, TAG)),
        ),
        (
            yes,
            ByDefaultAnonymous,
            false,
            hide,
            false,
            Some((GRANTED, TAG)),
        ),
        (yes, Denied, false, hide, false, Some((GRANTED, TAG))),
        (no, ByDefaultGranted, false, hide, false, None),
        (no, ByDefaultGranted, true, keep, false, None),
        (
            no_ads,
            ByDefaultGranted,
            false,
            hide,
            false,
            Some((NO_SHARE, TAG)),
        ),
        (
            no_ads,
            ByDefaultGranted,
            true,
            hide,
            false,
            Some((ANONYMOUS, GPC)),
        ),
        (
            none,
            ByDefaultGranted,
            true,
            hide,
            false,
            Some((ANONYMOUS, GPC)),
        ),
        (
            none,
            ByDefaultGranted,
            true,
            keep,
            false,
            Some((NO_SHARE, GPC)),
        ),
        (
            none,
            ByDefaultAnonymous,
            true,
            keep,
            false,
            Some((ANONYMOUS, DEFAULT)),
        ),
        (none, Denied, true, keep, false, None),
        (
            yes,
            ByDefaultGranted,
            true,
            hide,
            false,
            Some((ANONYMOUS, GPC)),
        ),
        (yes, Denied, true, keep, false, Some((NO_SHARE, GPC))),
        (
            none,
            ByDefaultGranted,
            false,
            hide,
            true,
            Some((ANONYMOUS, DNT)),
        ),
        (
            none,
            ByDefaultGranted,
            true,
            keep,
            true,
            Some((NO_SHARE, GPC)),
        ),
    ] {
        let body = format!("{{\"type\":\"page\"{tag}}}");
        let source = Source {
            consent_default: default,
            gpc: policy,
            dnt,
            ..source()
        };
        let mut headers = Vec::new();
        headers.extend(gpc.then_some(("sec-gpc", "1")));
        headers.extend(dnt.then_some(("dnt", "1")));
        let found = resolve(hit(&body), &fixture::signals(&headers, &source), &source);
        let found = found.ok().map(|found| {
            assert_eq!(found.consent.gpc, gpc);
            (found.consent.purposes, found.consent.signal)
        });
        assert_eq!(found, expected, "{tag} {default:?} {gpc} {policy:?} {dnt}");
    }
}

#[test]
fn a_batch_and_its_event_are_read_as_the_stricter_one() {
    for (lent, own, expected) in [
        ("false", "null", None),
        ("false", "{}", None),
        ("false", "true", None),
        ("true", "false", None),
        (r#"{"ads":false}"#, "[]", Some(Purposes::ANONYMOUS)),
        (r#"{"ads":false}"#, "true", Some(Purposes::NO_SHARE)),
        (r#"{"ads":true}"#, "null", Some(Purposes::ANONYMOUS)),
        (
            r#"{"C0002":false}"#,
            r#"{"granted":true}"#,
            Some(Purposes::ANONYMOUS),
        ),
        ("true", "null", Some(Purposes::GRANTED)),
        ("null", "null", Some(Purposes::ANONYMOUS)),
    ] {
        let body = format!(
            r#"{{"batch":[{{"type":"page","context":{{"consent":{own}}}}}],"context":{{"consent":{lent}}}}}"#
        );
        let source = Source {
            consent_default: ConsentDefault::Anonymous,
            ..source()
        };
        let found = resolve(hit(&body), &Signals::default(), &source);
        let found = found.ok().map(|found| found.consent.purposes);
        assert_eq!(found, expected, "{lent} {own}");
    }
}

#[test]
fn only_analytics_granted_lifts_the_default() {
    use ConsentDefault::{Anonymous as ByDefaultAnonymous, Denied, Granted as ByDefaultGranted};
    const GRANTED: Purposes = Purposes::GRANTED;
    const NO_SHARE: Purposes = Purposes::NO_SHARE;
    const ANONYMOUS: Purposes = Purposes::ANONYMOUS;
    let (granted, no_share, anonymous) = (Some(GRANTED), Some(NO_SHARE), Some(ANONYMOUS));
    let defaults = [ByDefaultGranted, ByDefaultAnonymous, Denied];
    // What the client says -> the state under each default; None is a refusal.
    for (consent, expected) in [
        ("null", [granted, anonymous, None]),
        ("{}", [granted, anonymous, None]),
        ("true", [granted; 3]),
        ("false", [None; 3]),
        (r#"{"analytics":true}"#, [granted; 3]),
        (r#"{"analytics":true,"ads":true}"#, [granted; 3]),
        (r#"{"analytics":true,"ads":false}"#, [no_share; 3]),
        (r#"{"analytics":false,"ads":true}"#, [None; 3]),
        (r#"{"statistics":true,"marketing":false}"#, [no_share; 3]),
        (r#"{"statistics":false,"marketing":true}"#, [None; 3]),
        (r#"{"ads":true}"#, [granted, anonymous, None]),
        (r#"{"ads":false}"#, [no_share, anonymous, None]),
        (r#"{"marketing":true}"#, [granted, anonymous, None]),
        (r#"{"ad_storage":"denied"}"#, [no_share, anonymous, None]),
        (
            r#"{"necessary":true,"marketing":false}"#,
            [no_share, anonymous, None],
        ),
        (
            r#"{"functionality_storage":"granted"}"#,
            [granted, anonymous, None],
        ),
        (
            r#"{"allowedConsentIds":["ads"]}"#,
            [granted, anonymous, None],
        ),
        (r#"{"C0001":true}"#, [anonymous, anonymous, None]),
        (r#"{"C0001":false}"#, [anonymous, anonymous, None]),
        (r#"{"analytics":true,"C0001":false}"#, [anonymous; 3]),
    ] {
        for (consent_default, expected) in defaults.into_iter().zip(expected) {
            let source = Source {
                consent_default,
                ..source()
            };
            let state = |body: &str| {
                let found = resolve(hit(body), &Signals::default(), &source);
                found.ok().map(|found| found.consent.purposes)
            };
            let own = format!(r#"{{"type":"page","context":{{"consent":{consent}}}}}"#);
            let lent = format!(
                r#"{{"batch":[{{"type":"page","context":{{"consent":null}}}}],"context":{{"consent":{consent}}}}}"#
            );
            assert_eq!(state(&own), expected, "{consent} {consent_default:?}");
            assert_eq!(state(&lent), expected, "lent {consent} {consent_default:?}");
        }
    }
}

#[test]
fn a_default_that_decides_is_the_signal() {
    let body = r#"{"type":"page","context":{"consent":{"ads":true}}}"#;
    let found = resolve(hit(body), &Signals::default(), &source()).unwrap();
    assert_eq!(found.consent.signal, source_default::NAME);
}

#[test]
fn a_refusal_in_unknown_words_is_no_grant() {
    for consent in [
        r#"{"categoryPreferences":{"C0001":true,"C0002":false,"C0003":false,"C0004":false}}"#,
        r#"{"essential":true,"comfort":false,"measurement":false,"marketing":true}"#,
        r#"{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0002","C0003","C0004"]}"#,
    ] {
        let body = format!(r#"{{"type":"page","userId":"u","context":{{"consent":{consent}}}}}"#);
        let found = resolve(hit(&body), &Signals::default(), &source()).unwrap();
        let cookie = CookieFacts::default();
        let placeholders = Placeholders::default();
        let (found, _) = identify(found, &cookie, &placeholders, &mut || 7);
        assert_eq!(found.consent.purposes, Purposes::ANONYMOUS, "{consent}");
        assert_eq!(found.consent.signal, tag::SIGNAL.name);
        assert_eq!(found.identity, Identity::Anonymous);
    }
    let mut mapped = source();
    let meaning = |id: &str, meaning| (id.to_owned(), meaning);
    mapped.consent_map.extend([
        meaning("C0001", ConsentMeaning::Ignore),
        meaning("C0002", ConsentMeaning::Analytics),
        meaning("C0004", ConsentMeaning::Advertising),
    ]);
    let body = r#"{"type":"page","context":{"consent":{"categoryPreferences":
        {"C0001":true,"C0002":true,"C0004":false}}}}"#;
    let found = resolve(hit(body), &Signals::default(), &mapped).unwrap();
    assert_eq!(found.consent.purposes, Purposes::NO_SHARE);
}

#[test]
fn dnt_counts_only_where_the_source_turns_it_on() {
    let signals = fixture::signals(&[("dnt", "1")], &source());
    let found = resolve(hit(r#"{"type":"page"}"#), &signals, &source()).unwrap();
    assert_eq!(found.consent.purposes, Purposes::GRANTED);
}

#[test]
fn a_server_source_makes_its_hits_server_side() {
    let server = Source {
        kind: SourceKind::Server,
        ..source()
    };
    let of = |body, source: &Source| {
        let signals = Signals::default();
        resolve(hit(body), &signals, source)
            .unwrap()
            .hit
            .server_channel
    };
    assert!(of(r#"{"type":"page"}"#, &server));
    assert!(of(r#"{"type":"page","channel":"server"}"#, &source()));
    assert!(!of(r#"{"type":"page","channel":"browser"}"#, &source()));
}

#[test]
fn a_new_signal_is_read_in_requests_and_events() {
    let sample = |said| fixture::signals(&[(sample::HEADER, said)], &source());
    let silent = Signals::default();
    let own = r#"{"type":"page","context":{"sample":"no"}}"#;
    let lent =
        r#"{"batch":[{"type":"page","context":{"sample":"yes"}}],"context":{"sample":"no"}}"#;
    let plain = r#"{"type":"page"}"#;
    for (body, signals, expected) in [
        (
            plain,
            &sample("no"),
            Some((Purposes::NO_SHARE, sample::SIGNAL.name)),
        ),
        (plain, &sample("never"), None),
        (
            plain,
            &sample("?"),
            Some((Purposes::GRANTED, source_default::NAME)),
        ),
        (
            plain,
            &sample("yes"),
            Some((Purposes::GRANTED, sample::SIGNAL.name)),
        ),
        (
            own,
            &silent,
            Some((Purposes::NO_SHARE, sample::SIGNAL.name)),
        ),
        (own, &sample("never"), None),
        (
            lent,
            &silent,
            Some((Purposes::NO_SHARE, sample::SIGNAL.name)),
        ),
    ] {
        let found = resolve(hit(body), signals, &source()).ok();
        let found = found.map(|found| (found.consent.purposes, found.consent.signal));
        assert_eq!(found, expected, "{body} {signals:?}");
    }
    assert_eq!(of_request(&sample("never"), &source()), None);
}

#[test]
fn a_back_end_answers_for_the_visitor_it_names() {
    let server = Source {
        kind: SourceKind::Server,
        ..source()
    };
    let signals = Signals::default();
    let consent = of_request(&signals, &server);
    assert!(consent.is_some_and(|consent| consent.profiling().is_some()));
    let strict = |kind| Source {
        consent_default: ConsentDefault::Denied,
        kind,
        ..source()
    };
    assert!(of_request(&signals, &strict(SourceKind::Server)).is_some());
    assert_eq!(of_request(&signals, &strict(SourceKind::Web)), None);
}

#[test]
fn the_record_reference_names_every_signal() {
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/records.md"));
    let row = document
        .lines()
        .find(|line| line.starts_with("| `consent` |"));
    let names = Signals::default();
    let names = names.iter().map(|(signal, _)| signal.0);
    for name in names
        .filter(|name| *name != sample::SIGNAL.name.0)
        .chain([source_default::NAME.0])
    {
        assert!(
            row.is_some_and(|row| row.contains(&format!("`{name}`"))),
            "{name}"
        );
    }
}
