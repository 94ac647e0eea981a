//! Kafka away for a while under load: the gateway answers 200 throughout, keeps its memory flat,
//! and delivers everything in order once Kafka is back.

use std::time::Duration;

use tidegate_tests::load::Load;
use tidegate_tests::patience::{during, long};
use tidegate_tests::records::{assert_holds, assert_in_order, message_ids};
use tidegate_tests::{Broker, Config, Gateway, eventually, turn};

/// How much more memory an outage may cost: the producer's bounded queue and the caches.
const GROWTH_MAX_KIB: u64 = 160 << 10;

#[test]
fn an_outage_costs_no_event_no_order_and_no_memory() {
    let _turn = turn();
    let mut broker = Broker::start();
    let config = Config::new().kafka(broker.address(), "outage");
    let mut gateway = Gateway::start(&config);
    let load = Load::paced(&gateway.target(), 32, Duration::from_millis(10));
    load.wait_for(2_000);
    let before_kib = gateway.process().memory_kib().expect("it runs");

    broker.stop();
    during(Duration::from_secs(if long() { 120 } else { 15 }));
    assert_eq!(
        gateway.admin("/readyz").status,
        200,
        "readiness does not depend on Kafka"
    );
    let lag = gateway
        .metric("tidegate_kafka_lag_records", "")
        .expect("a lag");
    assert!(lag > 100.0, "the outage was one: lag {lag}");
    let during_kib = gateway.process().memory_kib().expect("it runs");
    broker.start_again();
    load.wait_for(1_000);
    let report = load.stop();

    report.assert_answered_only(&[200]);
    let grown_kib = during_kib.saturating_sub(before_kib);
    assert!(
        grown_kib < GROWTH_MAX_KIB,
        "{before_kib} KiB grew by {grown_kib} KiB"
    );
    eventually("kafka to catch up", || {
        (gateway.metric("tidegate_kafka_lag_records", "")? == 0.0).then_some(())
    });
    let messages = broker.read("outage");
    assert_in_order(&messages);
    let values: Vec<_> = messages.into_iter().map(|(_, value)| value).collect();
    assert_holds("kafka", &message_ids(&values), &report.acked, false);
    println!(
        "{} events, slowest answer {} ms, memory {before_kib} -> {during_kib} KiB",
        report.acked.len(),
        report.slowest.as_millis()
    );
}

#[test]
fn ack_kafka_answers_503_while_kafka_is_away_and_200_when_it_is_back() {
    let _turn = turn();
    let mut broker = Broker::start();
    let config = Config::new()
        .kafka(broker.address(), "ack")
        .set("edge", "ack", "\"kafka\"")
        .set("edge", "ack_timeout", "\"500ms\"");
    let gateway = Gateway::start(&config);
    let event = |id: &str| serde_json::json!({"type": "page", "messageId": id, "anonymousId": "a"});
    eventually("the first acknowledgement of kafka", || {
        (gateway.post(&event("m-1")).status == 200).then_some(())
    });
    // The first one may have waited too: Kafka makes the topic when it is first written to.
    let timeouts = || {
        gateway
            .metric("tidegate_ack_timeouts_total", "")
            .expect("a count")
    };
    let before = timeouts();
    broker.stop();
    let answer = gateway.post(&event("m-2"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(!answer.header("retry-after").is_empty());
    let why = answer.json()["results"][0]["reason"].to_string();
    assert!(why.contains("kafka did not acknowledge"), "{why}");
    assert_eq!(timeouts() - before, 1.0);
    broker.start_again();
    eventually("an acknowledgement after the outage", || {
        (gateway.post(&event("m-2")).status == 200).then_some(())
    });
    let messages = broker.read_until("ack", |messages| messages.len() >= 2);
    let values: Vec<_> = messages.into_iter().map(|(_, value)| value).collect();
    let acked = ["m-1".to_owned(), "m-2".to_owned()];
    assert_holds("kafka", &message_ids(&values), &acked, true);
}
