//! A record that Kafka will never take becomes a dead letter, alone, and the rest goes on.

use std::fs;

use serde_json::json;
use tidegate_tests::{Broker, Config, Gateway, eventually, turn};

#[test]
fn only_the_record_that_is_too_large_for_the_topic_becomes_a_dead_letter() {
    let _turn = turn();
    let broker = Broker::start();
    broker.create_topic("narrow", 4_000);
    let config = Config::new().kafka(broker.address(), "narrow");
    let gateway = Gateway::start(&config);
    let event = |id: &str, bytes: usize| {
        json!({
            "type": "track", "event": "E", "messageId": id, "anonymousId": "a-1",
            "properties": { "text": "x".repeat(bytes) },
        })
    };
    let batch = [event("m-1", 10), event("m-large", 9_000), event("m-2", 10)];
    let answer = gateway.post(&json!({ "batch": batch }));
    assert_eq!(answer.outcomes(), ["accepted"; 3]);

    eventually("kafka to move on", || {
        (gateway.metric("tidegate_kafka_lag_records", "")? == 0.0).then_some(())
    });
    let messages = broker.read_until("narrow", |messages| messages.len() >= 2);
    let ids: Vec<_> = messages
        .iter()
        .filter_map(|(_, value)| value["message_id"].as_str())
        .filter(|id| id.starts_with("m-"))
        .collect();
    assert!(ids.contains(&"m-1") && ids.contains(&"m-2"), "{ids:?}");
    assert!(!ids.contains(&"m-large"));
    let dead = gateway.data_dir().join("kafka-dead-letters/current.ndjson");
    let dead = fs::read_to_string(dead).unwrap();
    assert_eq!(dead.lines().count(), 1);
    assert!(
        dead.contains("m-large") && dead.contains("MessageSizeTooLarge"),
        "{dead}"
    );
}
