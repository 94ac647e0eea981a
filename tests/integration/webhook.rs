//! From a hit to a partner: the callback is signed, comes within milliseconds, in order, and once
//! more under the same id when the partner failed.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::patience::now;
use tidegate_tests::{Config, Gateway, Receiver, turn};

const BUYERS: &str = "count(event.name == \"Order Completed\", \"30d\") >= 1";

fn order(visitor: &str) -> Value {
    json!({"type": "track", "event": "Order Completed", "anonymousId": visitor, "userId": "u-1"})
}

fn started(receiver: &Receiver) -> Gateway {
    let config =
        Config::new()
            .segment("buyers", BUYERS)
            .webhook("ads", &receiver.url(), &["buyers"]);
    Gateway::start(&config)
}

#[test]
fn entering_a_segment_calls_the_partner_back_signed_within_milliseconds() {
    let _turn = turn();
    let receiver = Receiver::start();
    let gateway = started(&receiver);
    let sent = now();
    assert_eq!(gateway.post(&order("a-1")).outcomes(), ["accepted"]);
    let callbacks = receiver.wait_for(1);
    let took = callbacks[0].at.duration_since(sent);
    let callback = &callbacks[0];
    assert!(callback.signed, "the signature verifies");
    assert_eq!(callback.field("segment"), "buyers");
    assert_eq!(callback.field("change"), "enter");
    assert_eq!(callback.field("anonymous_id"), "a-1");
    assert_eq!(callback.field("user_id"), "u-1");
    assert_eq!(callback.body["epoch"], 1);
    assert!(!callback.field("profile_id").is_empty());
    assert!(callback.field("occurred_at").ends_with('Z'));
    assert!(
        took < Duration::from_millis(500),
        "the callback took {took:?}"
    );
    println!("hit to callback: {took:?}");
}

#[test]
fn a_partner_that_fails_is_asked_again_under_the_same_id() {
    let _turn = turn();
    let receiver = Receiver::start();
    receiver.answer_next(503, Some(1));
    let gateway = started(&receiver);
    assert_eq!(gateway.post(&order("a-1")).outcomes(), ["accepted"]);
    let callbacks = receiver.wait_for(2);
    assert_eq!([callbacks[0].status, callbacks[1].status], [503, 200]);
    assert_eq!(callbacks[0].id, callbacks[1].id);
    assert!(callbacks.iter().all(|callback| callback.signed));
    let waited = callbacks[1].at.duration_since(callbacks[0].at);
    assert!(
        waited >= Duration::from_millis(900),
        "Retry-After is honoured: {waited:?}"
    );
}

#[test]
fn a_kill_between_decision_and_delivery_loses_no_callback() {
    let _turn = turn();
    let receiver = Receiver::start();
    receiver.answer_next(503, Some(1));
    let mut gateway = started(&receiver);
    assert_eq!(gateway.post(&order("a-1")).outcomes(), ["accepted"]);
    let first = receiver.wait_for(1);
    gateway.kill();
    gateway.start_again();
    let callbacks = receiver.wait_for(2);
    assert_eq!(
        callbacks[1].id, first[0].id,
        "the partner can tell it is the same"
    );
    assert_eq!(callbacks[1].status, 200);
}

#[test]
fn a_permanent_refusal_becomes_a_dead_letter_that_can_be_replayed() {
    let _turn = turn();
    let receiver = Receiver::start();
    receiver.answer_next(400, None);
    let gateway = started(&receiver);
    assert_eq!(gateway.post(&order("a-1")).outcomes(), ["accepted"]);
    let _ = receiver.wait_for(1);
    tidegate_tests::eventually("the dead letter", || {
        let listed = gateway.ctl(&["destinations", "dead-letters", "ads"]).ok()?;
        listed.contains("400").then_some(())
    });
    let replayed = gateway.ctl(&["destinations", "replay", "ads"]);
    assert!(replayed.is_ok(), "{replayed:?}");
    let callbacks = receiver.wait_for(2);
    assert_eq!(callbacks[1].status, 200);
}
