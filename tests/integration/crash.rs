//! Kill -9 under load, round after round: nothing acknowledged is lost, nothing is doubled.

use std::collections::HashSet;

use tidegate_tests::load::Load;
use tidegate_tests::patience::long;
use tidegate_tests::records::{
    assert_contiguous, assert_holds, assert_in_order, journal, message_ids,
};
use tidegate_tests::{Broker, Config, Gateway, turn};

const ROUNDS: usize = 10;
const CONNECTIONS: usize = 64;

#[test]
fn ten_kills_under_load_lose_nothing_acked_and_double_nothing() {
    let _turn = turn();
    let broker = Broker::start();
    let config = Config::new().kafka(broker.address(), "crash").segment(
        "viewers",
        "count(event.name == \"Product Viewed\", \"1h\") >= 3",
    );
    let mut gateway = Gateway::start(&config);
    let load = Load::start(&gateway.target(), CONNECTIONS);
    let each_round = if long() { 20_000 } else { 2_000 };
    for _ in 0..ROUNDS {
        load.wait_for(each_round);
        gateway.kill();
        gateway.start_again();
    }
    load.wait_for(each_round);
    let report = load.stop();
    assert!(gateway.terminate().success());

    let records = journal(&gateway);
    assert_contiguous(&records);
    let ids = message_ids(&records);
    assert_holds("the journal", &ids, &report.acked, true);

    gateway.start_again();
    let acked = report.acked.len();
    // Each kill repeats what was in flight: the number of messages says nothing about which.
    let messages = broker.read_until("crash", |messages| {
        let there: HashSet<&str> = messages
            .iter()
            .filter_map(|(_, value)| value["message_id"].as_str())
            .collect();
        report.acked.iter().all(|id| there.contains(id.as_str()))
    });
    assert_in_order(&messages);
    let values: Vec<_> = messages.into_iter().map(|(_, value)| value).collect();
    assert_holds("kafka", &message_ids(&values), &report.acked, false);
    println!(
        "{acked} events acknowledged over {ROUNDS} kills, {} requests broken",
        report.broken
    );
}

#[test]
fn memberships_survive_a_kill() {
    let _turn = turn();
    let config = Config::new().segment("viewers", "count(event.type == \"page\", \"1h\") >= 2");
    let mut gateway = Gateway::start(&config);
    let page = serde_json::json!({"type": "page", "anonymousId": "a-1"});
    assert_eq!(gateway.post(&page).outcomes(), ["accepted"]);
    gateway.kill();
    gateway.start_again();
    assert_eq!(gateway.post(&page).outcomes(), ["accepted"]);
    gateway.kill();
    gateway.start_again();
    let key = tidegate_tests::config::SERVER_KEY;
    let answer = gateway.get(&format!("/v1/segments?anonymous_id=a-1&writeKey={key}"));
    assert_eq!(
        answer.json()["segments"],
        serde_json::json!(["viewers"]),
        "{}",
        answer.text()
    );
}
