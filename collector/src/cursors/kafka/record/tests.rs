use rdkafka::message::Headers;
use tidegate_event::record::{EventFold, ProfileMerged};
use tidegate_event::{Change, Purposes, SegmentId, Timestamp};

use super::*;

const WINNER: ProfileId = ProfileId(7);
const LOSER: ProfileId = ProfileId(9);

fn record() -> Record<'static> {
    Record {
        generation: 3,
        decided_at: Timestamp(1_795_355_327_974),
        profile: Some(WINNER),
        anonymous_id: Some("a-\"1\""),
        user_id: None,
        source: "shop",
        kind: "track",
        event: "Order Completed",
        message_id: "m-1",
        event_time: Timestamp(1_795_355_327_000),
        purposes: Purposes::GRANTED,
        transitions: Vec::new(),
        fold: Fold::Event(EventFold::default()),
    }
}

fn enter(segment: &str, epoch: u32) -> TransitionRef<'_> {
    TransitionRef::new(SegmentId::of(segment), segment, Change::Enter, epoch)
}

fn messages(record: &Record<'_>) -> Vec<(Topic, Option<String>, String)> {
    let payload = record
        .write(Vec::new(), |out| out.extend_from_slice(b"\"schema\":1}"))
        .unwrap();
    let view = RecordView::read(&payload).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut all = Vec::new();
    Renderer::new("j-1")
        .each(&view, 42, |message| {
            all.push((message.topic, message.key.map(text), text(message.value)));
            Ok::<(), ()>(())
        })
        .unwrap();
    all
}

#[test]
fn an_event_goes_out_as_the_journal_prints_it_keyed_by_its_profile() {
    assert_eq!(
        messages(&record()),
        [(
            Topic::Events,
            Some(WINNER.to_string()),
            r#"{"journal":"j-1","offset":42,"schema":1}"#.to_owned()
        )]
    );
}

#[test]
fn an_anonymous_event_has_no_key() {
    let record = Record {
        profile: None,
        ..record()
    };
    assert_eq!(messages(&record)[0].1, None);
}

#[test]
fn each_transition_is_one_message_of_its_own_topic() {
    let record = Record {
        transitions: vec![enter("buyers", 1), enter("vip", 4)],
        ..record()
    };
    let all = messages(&record);
    assert_eq!(all.len(), 3);
    assert_eq!(all[1].0, Topic::Transitions);
    assert_eq!(all[1].1, Some(WINNER.to_string()));
    let value: serde_json::Value = serde_json::from_str(&all[2].2).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "journal": "j-1", "offset": 42, "index": 1, "schema": 1,
            "profile_id": WINNER.to_string(), "anonymous_id": "a-\"1\"", "user_id": null,
            "segment": "vip", "change": "enter", "epoch": 4,
            "occurred_at": "2026-11-22T13:48:47.974Z", "decided_at": "2026-11-22T13:48:47.974Z",
            "event_time": "2026-11-22T13:48:47.000Z", "event": "Order Completed",
        })
    );
}

#[test]
fn a_merge_goes_out_under_both_keys_and_its_exits_name_only_the_loser() {
    let mut exit = enter("buyers", 2);
    exit.change = Change::Exit;
    exit.reason = Some("merged");
    exit.profile = Some(LOSER);
    let record = Record {
        kind: "system",
        event: "profile_merged",
        transitions: vec![exit],
        fold: Fold::ProfileMerged(ProfileMerged {
            winner: WINNER,
            loser: LOSER,
            wake_up: None,
        }),
        ..record()
    };
    let all = messages(&record);
    assert_eq!(all[0].1, Some(WINNER.to_string()));
    assert_eq!(all[1].1, Some(LOSER.to_string()));
    assert_eq!(all[0].2, all[1].2);
    assert_eq!(
        (all[2].0, all[2].1.clone()),
        (Topic::Transitions, Some(LOSER.to_string()))
    );
    let value: serde_json::Value = serde_json::from_str(&all[2].2).unwrap();
    assert_eq!(value["profile_id"], LOSER.to_string());
    assert_eq!(value["merged_into"], WINNER.to_string());
    assert_eq!(value["reason"], "merged");
    assert!(
        value["anonymous_id"].is_null(),
        "it belongs to the winner now"
    );
}

#[test]
fn sending_stops_at_the_first_error() {
    let record = Record {
        transitions: vec![enter("buyers", 1)],
        ..record()
    };
    let payload = record.write(Vec::new(), |_| ()).unwrap();
    let view = RecordView::read(&payload).unwrap();
    let mut sent = 0;
    let result = Renderer::new("j").each(&view, 0, |_| {
        sent += 1;
        Err("full")
    });
    assert_eq!((result, sent), (Err("full"), 1));
}

#[test]
fn headers_name_type_source_outcome_and_schema() {
    let headers = headers(&record());
    let pairs: Vec<_> = headers
        .iter()
        .map(|header| (header.key.to_owned(), header.value.unwrap().to_vec()))
        .collect();
    let expected = [
        ("type", "track"),
        ("source", "shop"),
        ("outcome", "accepted"),
        ("schema", "1"),
    ]
    .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    assert_eq!(pairs, expected);
}
