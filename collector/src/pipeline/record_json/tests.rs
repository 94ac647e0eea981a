use std::sync::Arc;

use tidegate_event::record::{
    CatalogFold, DeviceStart, EventFold, ProfileMerged, SessionContinued, SessionEnd,
    SessionMerged, WakeUpFold,
};
use tidegate_event::{Change, DeviceClass, Json, Purposes, SegmentId, VisitorId};

use super::*;
use crate::identity::Placeholders;
use crate::identity::{CookieFacts, identify};
use crate::pipeline::decode::Limits;
use crate::pipeline::enrich::{DeviceLookup, GeoLookup, RequestFacts, enrich};
use crate::protocols::native;
use tidegate_event::consent::ConsentSignal;

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/records.md"));
const SCHEMA_FILE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/record.schema.json"
));
const NOW: Timestamp = Timestamp(1_795_348_800_000);
const PROFILE: ProfileId = ProfileId(0x0192_e4a0_0000_7000_8000_0000_0000_0001);
const SESSION: SessionRef = SessionRef {
    id: 0x0192_e4a0_0000_7000_8000_0000_0000_00aa,
    visitor: VisitorId(1),
    index: 3,
    gap_ms: 1_800_000,
};

struct London;

impl GeoLookup for London {
    fn lookup(&self, _: std::net::IpAddr) -> Geo {
        Geo {
            country: Some("GB".into()),
            city: Some("London".into()),
            asn: Some(20712),
        }
    }
}

impl DeviceLookup for London {
    fn device(&self, _: &str, _: Timestamp) -> Arc<Device> {
        Arc::new(Device {
            class: DeviceClass::Desktop,
            bot: false,
            brand: None,
            os: Some("Linux".into()),
            browser: Some("Firefox".into()),
            browser_version: Some(144),
        })
    }
}

fn enriched(body: &str) -> Enriched<'_> {
    let limits = Limits {
        event_bytes_max: 1 << 20,
        batch_events_max: 1,
        members_max: 1_000,
        lent_bytes_max: 1 << 20,
    };
    let envelope = native::read(body.as_bytes(), &limits).unwrap();
    let hit = envelope.decode().next().unwrap().hit.unwrap();
    let consent = Consent {
        purposes: Purposes::GRANTED,
        signal: ConsentSignal("tag"),
        gpc: false,
    };
    let (identified, _) = identify(
        tidegate_event::Consented { hit, consent },
        &CookieFacts::default(),
        &Placeholders::default(),
        &mut || 1,
    );
    let facts = RequestFacts {
        received_at: NOW,
        client_ip: Some("81.2.69.142".parse().unwrap()),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/144.0".into()),
        referer: None,
        from_back_end: false,
    };
    enrich(identified, &facts, &London)
}

fn head(kind: &'static str, event: &'static str, fold: Fold<'static>) -> Record<'static> {
    Record {
        generation: 4,
        decided_at: NOW,
        profile: Some(PROFILE),
        anonymous_id: Some("a-1"),
        user_id: None,
        source: "shop",
        kind,
        event,
        message_id: "m-1",
        event_time: NOW.plus_ms(-1_500),
        purposes: Purposes::GRANTED,
        transitions: Vec::new(),
        fold,
    }
}

fn transition(segment: &'static str, change: Change, epoch: u32) -> TransitionRef<'static> {
    TransitionRef::new(SegmentId::of(segment), segment, change, epoch)
}

fn event_json(record: &Record<'_>, body: &str, late: bool) -> String {
    let mut out = b"{".to_vec();
    write_event(&mut out, record, &enriched(body), late);
    String::from_utf8(out).unwrap()
}

fn system_json(event: &'static str, fold: Fold<'static>) -> String {
    let mut out = b"{".to_vec();
    write_system(&mut out, &head("system", event, fold));
    String::from_utf8(out).unwrap()
}

fn example() -> String {
    let mut record = head(
        "track",
        "Order Completed",
        Fold::Event(EventFold {
            session: Some(SESSION),
            ..EventFold::default()
        }),
    );
    record.transitions = vec![
        transition("buyers", Change::Enter, 1),
        transition("carts", Change::Exit, 4),
    ];
    let body = r#"{"type":"track","event":"Order Completed","anonymousId":"a-1","messageId":"m-1",
        "timestamp":"2026-11-22T11:59:58.400Z","sentAt":"2026-11-22T11:59:59.900Z",
        "properties":{"revenue":42.5,"currency":"EUR"},
        "context":{"locale":"en-GB","ip":"198.51.100.1","consent":{"granted":true},
        "page":{"url":"https://shop.example/done?utm_source=mail","path":"/done"}}}"#;
    event_json(&record, body, false)
}

/// Members by path, `[]` for what stands in an array.
fn paths(json: &Json<'_>, at: &str, found: &mut Vec<String>) {
    match json {
        Json::Object(members) => {
            for (key, value) in members {
                let path = format!("{at}{key}");
                paths(value, &format!("{path}."), found);
                found.push(path);
            }
        }
        Json::Array(items) => {
            for item in items {
                paths(item, &format!("{at}[]."), found);
            }
        }
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Str(_) => {}
    }
}

fn system_examples() -> Vec<String> {
    let merged = SessionMerged {
        into: SESSION,
        from_index: 4,
        from_id: 7,
        revision: 2,
    };
    let end = SessionEnd {
        session: SESSION,
        revision: 1,
        wake_up: None,
    };
    let continued = SessionContinued {
        session: SESSION,
        received_at: NOW,
        page_view: true,
        conversion: false,
        visible_ms: 0,
    };
    let device = DeviceStart {
        session: SESSION,
        anonymous_id: "a-1",
    };
    let profiles = ProfileMerged {
        winner: PROFILE,
        loser: ProfileId(9),
        wake_up: None,
    };
    let wake_up = WakeUpFold {
        due: NOW,
        wake_up: None,
    };
    vec![
        system_json("session_start", Fold::SessionStart(SESSION)),
        system_json("session_end", Fold::SessionEnd(end)),
        system_json("session_merged", Fold::SessionMerged(merged)),
        system_json("profile_merged", Fold::ProfileMerged(profiles)),
        system_json("wake_up", Fold::WakeUp(wake_up)),
        system_json("catalog", Fold::Catalog(CatalogFold { digest: "ab\"" })),
        system_json("erased", Fold::Erased),
        system_json("session_continued", Fold::SessionContinued(continued)),
        system_json("session_start", Fold::DeviceStart(device)),
    ]
}

#[test]
fn the_documented_example_is_what_the_writer_writes() {
    let documented = DOCUMENT
        .split("```json")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let documented: Json<'_> = serde_json::from_str(documented).unwrap();
    let Json::Object(mut documented) = documented else {
        panic!("the example is an object");
    };
    // The journal's own two.
    documented.retain(|(key, _)| !matches!(&**key, "journal" | "offset"));
    let written = example();
    let written: Json<'_> = serde_json::from_str(&written).unwrap();
    assert_eq!(written, Json::Object(documented));
}

#[test]
fn every_member_is_documented_and_stands_in_the_schema() {
    let schema: Json<'_> = serde_json::from_str(SCHEMA_FILE).unwrap();
    let mut examples = system_examples();
    examples.push(example());
    let mut merge_exit = head("system", "profile_merged", Fold::Erased);
    merge_exit.transitions = vec![TransitionRef {
        reason: Some("merged"),
        profile: Some(ProfileId(9)),
        overdue: true,
        ..transition("carts", Change::Exit, 2)
    }];
    let mut out = b"{".to_vec();
    write_system(&mut out, &merge_exit);
    examples.push(String::from_utf8(out).unwrap());
    for example in &examples {
        let json: Json<'_> = serde_json::from_str(example).unwrap();
        let mut found = Vec::new();
        paths(&json, "", &mut found);
        for path in found.iter().filter(|path| !is_clients(path)) {
            let steps: Vec<&str> = path
                .split('.')
                .flat_map(|step| match step {
                    "[]" => ["items", "properties"],
                    step => ["properties", step],
                })
                .collect();
            let steps = schema_path(&steps);
            assert!(schema.at(&steps).is_some(), "{path} is not in the schema");
            let name = path.rsplit('.').next().unwrap();
            assert!(
                DOCUMENT.contains(&format!("`{name}`")) || DOCUMENT.contains(&format!("`{path}`")),
                "{path} is not documented"
            );
        }
    }
    let Some(Json::Array(required)) = schema.get("required") else {
        panic!("the schema requires members");
    };
    for example in &examples {
        let json: Json<'_> = serde_json::from_str(example).unwrap();
        for name in required.iter().filter_map(Json::as_str) {
            let journals = matches!(name, "journal" | "offset");
            assert!(journals || json.get(name).is_some(), "{name}: {example}");
        }
    }
}

/// `a.[].b` is `properties a items properties b`: the array's step brings no `properties` itself.
fn schema_path<'a>(steps: &[&'a str]) -> Vec<&'a str> {
    let mut path = Vec::new();
    for pair in steps.chunks(2) {
        match pair {
            ["items", "properties"] => path.push("items"),
            [properties, name] => path.extend([*properties, *name]),
            _ => {}
        }
    }
    path
}

/// The client's own members are open: only what we derive is fixed.
fn is_clients(path: &str) -> bool {
    let derived = ["context.device", "context.ip", "context.userAgent"];
    let open = ["context.", "properties.", "traits."];
    open.iter().any(|open| path.starts_with(open))
        && !derived.iter().any(|known| path.starts_with(known))
}

#[test]
fn every_record_is_valid_by_the_schema() {
    let late = r#"{"type":"identify","userId":"u","traits":{"plan":"pro"},"context":{"device":{"id":"d"}}}"#;
    let record = head("identify", "", Fold::Event(EventFold::default()));
    let mut examples = system_examples();
    // It is not built yet, and not documented.
    examples.retain(|example| !example.contains("\"erased\""));
    examples.extend([example(), event_json(&record, late, true)]);
    for example in examples {
        let whole = example.replacen('{', "{\"journal\":\"j\",\"offset\":7,", 1);
        assert_eq!(schema::violations(&whole), [""; 0], "{whole}");
    }
}

#[test]
fn an_event_record_keeps_its_order_of_members() {
    let json = example();
    let mut last = 0;
    for name in [
        "schema",
        "generation",
        "decided_at",
        "message_id",
        "type",
        "event",
        "source",
        "profile_id",
        "anonymous_id",
        "user_id",
        "event_time",
        "received_at",
        "session",
        "geo",
        "context",
        "properties",
        "traits",
        "consent",
        "transitions",
    ] {
        let member = format!("\"{name}\":");
        let at = json[last..]
            .find(&member)
            .unwrap_or_else(|| panic!("{name}"))
            + last;
        last = at;
    }
    assert!(json.starts_with("{\"schema\":1,"));
}

#[test]
fn a_late_event_says_so_and_has_no_session() {
    let record = head("page", "", Fold::Event(EventFold::default()));
    let json = event_json(&record, r#"{"type":"page","userId":"u"}"#, true);
    assert!(
        json.contains(r#""session":null,"late":true,"geo""#),
        "{json}"
    );
    let json = event_json(&record, r#"{"type":"page","userId":"u"}"#, false);
    assert!(!json.contains("late"));
}

fn context_of(context: &str) -> String {
    let body = format!(
        "{{\"type\":\"page\",\"userId\":\"u\",\"context\":{context},\
         \"properties\":{{\"path\":\"/p\",\"search\":\"?utm_term=t\"}}}}"
    );
    let record = head("page", "", Fold::Event(EventFold::default()));
    let json = event_json(&record, &body, false);
    let (_, rest) = json.split_once("\"context\":").unwrap();
    let (context, _) = rest.split_once(",\"properties\":").unwrap();
    let _: Json<'_> = serde_json::from_str(context).unwrap();
    context.to_owned()
}

#[test]
fn the_context_gets_what_was_derived_and_keeps_what_was_said() {
    let derived = concat!(
        r#""ip":"81.2.69.0","#,
        r#""userAgent":"Mozilla/5.0 (X11; Linux x86_64) Firefox/144.0","#,
        r#""page":{"path":"/p","search":"?utm_term=t"},"campaign":{"term":"t"}}"#
    );
    let says =
        r#""class":"desktop","bot":false,"os":"Linux","browser":"Firefox","browser_version":144}"#;
    let device = format!("\"device\":{{{says}");
    for empty in ["{}", "{ \n }", "null"] {
        assert_eq!(
            context_of(empty),
            format!("{{{device},{derived}"),
            "{empty:?}"
        );
    }
    assert_eq!(
        context_of("{\"a\" : [1,\r\n2] \n}"),
        format!("{{\"a\" : [1,2],{device},{derived}")
    );
    assert_eq!(
        context_of(r#"{"device":{"id":"d","class":"x","brand":"own","os":1},"ip":"1.2.3.4"}"#),
        format!(r#"{{"device":{{"id":"d",{says},{derived}"#)
    );
    assert_eq!(
        context_of(r#"{"device":7,"a":1}"#),
        format!("{{\"a\":1,{device},{derived}")
    );
    assert_eq!(
        context_of(r#"{"page":{},"campaign":{"x":1},"userAgent":"own"}"#),
        format!(
            "{{\"page\":{{}},\"campaign\":{{\"x\":1}},\"userAgent\":\"own\",{device},\"ip\":\"81.2.69.0\"}}"
        )
    );
}

#[test]
fn generated_records_name_what_happened() {
    let all = system_examples();
    let id = |last: &str| format!("\"0192e4a0-0000-7000-8000-0000000000{last}\"");
    let has = |at: usize, text: &str| {
        let json: &String = &all[at];
        let _: Json<'_> = serde_json::from_str(json).unwrap();
        assert!(json.contains(text), "{json}");
    };
    has(
        0,
        &format!(
            "\"session\":{{\"id\":{},\"index\":3}},\"transitions\":[]}}",
            id("aa")
        ),
    );
    has(1, "\"index\":3,\"revision\":1}");
    has(
        2,
        "\"from\":\"00000000-0000-0000-0000-000000000007\",\"from_index\":4,\"revision\":2}",
    );
    has(
        3,
        &format!("\"merge\":{{\"winner\":{},\"loser\":", id("01")),
    );
    has(4, "\"due\":\"2026-11-22T12:00:00.000Z\"");
    has(5, r#""catalog":{"digest":"ab\""}"#);
    has(6, r#""type":"system","event":"erased","source":"shop""#);
    let mut out = b"{".to_vec();
    let nowhere = Record {
        source: "",
        profile: None,
        anonymous_id: None,
        ..head("system", "catalog", Fold::Erased)
    };
    write_system(&mut out, &nowhere);
    let json = String::from_utf8(out).unwrap();
    assert!(json.contains(r#""source":null,"profile_id":null,"anonymous_id":null"#));
}

#[test]
fn a_merges_exit_names_the_loser_and_the_winner() {
    let mut record = head("system", "profile_merged", Fold::Erased);
    record.transitions = vec![TransitionRef {
        reason: Some("merged"),
        profile: Some(ProfileId(9)),
        ..transition("carts", Change::Exit, 2)
    }];
    let mut out = b"{".to_vec();
    write_system(&mut out, &record);
    let json = String::from_utf8(out).unwrap();
    assert!(
        json.ends_with(concat!(
            r#""transitions":[{"segment":"carts","change":"exit","epoch":2,"reason":"merged","#,
            r#""profile_id":"00000000-0000-0000-0000-000000000009","#,
            r#""merged_into":"0192e4a0-0000-7000-8000-000000000001"}]}"#
        )),
        "{json}"
    );
}
