//! Which changes of a record leave the gates.

use tidegate_event::record::{Fold, Record, TransitionRef};
use tidegate_event::{Change, ProfileId, Purposes, SegmentId, Timestamp};

use super::{Refusal, intents};
use crate::intent::Intent;

fn transition(change: Change, profile: Option<u128>) -> TransitionRef<'static> {
    TransitionRef {
        id: SegmentId::of("buyers"),
        segment: "buyers",
        change,
        epoch: 4,
        reason: profile.map(|_| "merged"),
        profile: profile.map(ProfileId),
        overdue: false,
    }
}

fn record(purposes: Purposes, transitions: Vec<TransitionRef<'static>>) -> Record<'static> {
    Record {
        generation: 1,
        decided_at: Timestamp(1_000),
        profile: Some(ProfileId(7)),
        anonymous_id: Some("anon"),
        user_id: Some("user"),
        source: "demo",
        kind: "track",
        event: "Order Completed",
        message_id: "m-1",
        event_time: Timestamp(900),
        purposes,
        transitions,
        fold: Fold::Erased,
    }
}

#[test]
fn without_consent_nothing_is_dispatched() {
    let refused = intents(
        5,
        &record(Purposes::NO_SHARE, vec![transition(Change::Enter, None)]),
    );
    assert_eq!(refused, Err(Refusal::Consent));
}

#[test]
fn a_record_without_changes_is_no_refusal() {
    assert_eq!(
        intents(5, &record(Purposes::NO_SHARE, Vec::new())),
        Ok(Vec::new())
    );
}

#[test]
fn a_change_carries_who_when_and_which_way() {
    let intents = intents(
        5,
        &record(Purposes::GRANTED, vec![transition(Change::Enter, None)]),
    )
    .unwrap();
    let Intent::AudienceChange(intent) = &intents[0];
    assert_eq!(
        (intent.head.offset, intent.head.profile, intent.epoch),
        (5, ProfileId(7), 4)
    );
    assert_eq!(
        (intent.change, intent.head.occurred_at),
        (Change::Enter, Timestamp(1_000))
    );
    assert_eq!((&intent.reason, intent.merged_into), (&None, None));
    assert_eq!(intent.head.anonymous_id.as_deref(), Some("anon"));
    assert_eq!(intent.head.user_id.as_deref(), Some("user"));
}

#[test]
fn the_loser_of_a_merge_leaves_under_its_own_id_without_the_winners() {
    let intents = intents(
        5,
        &record(Purposes::GRANTED, vec![transition(Change::Exit, Some(8))]),
    )
    .unwrap();
    let Intent::AudienceChange(intent) = &intents[0];
    assert_eq!(
        (intent.head.profile, intent.reason.as_deref()),
        (ProfileId(8), Some("merged"))
    );
    assert_eq!(intent.merged_into, Some(ProfileId(7)));
    assert_eq!(
        (&intent.head.anonymous_id, &intent.head.user_id),
        (&None, &None)
    );
}

#[test]
fn an_anonymous_record_has_nobody_to_dispatch_for() {
    let mut anonymous = record(Purposes::GRANTED, vec![transition(Change::Enter, None)]);
    anonymous.profile = None;
    assert_eq!(intents(5, &anonymous), Ok(Vec::new()));
}

#[test]
fn an_overdue_wake_up_still_keeps_audiences_true() {
    let mut overdue = record(Purposes::GRANTED, vec![transition(Change::Enter, None)]);
    overdue.transitions[0].overdue = true;
    assert_eq!(intents(5, &overdue).map(|all| all.len()), Ok(1));
}
