//! A catalog change under full load: live in under a second, and no request notices.

use std::time::Duration;

use serde_json::json;
use tidegate_tests::config::SERVER_KEY;
use tidegate_tests::load::Load;
use tidegate_tests::patience::now;
use tidegate_tests::{Config, Gateway, eventually, turn};

#[test]
fn a_new_segment_is_live_within_a_second_and_no_request_fails() {
    let _turn = turn();
    let old = Config::new().segment("viewers", "count(event.type == \"page\", \"1h\") >= 100");
    let new = Config::new().segment("viewers", "count(event.type == \"page\", \"1h\") >= 100");
    let new = new.segment(
        "buyers",
        "count(event.name == \"Order Completed\", \"1h\") >= 1",
    );
    let gateway = Gateway::start(&old);
    let load = Load::start(&gateway.target(), 32);
    load.wait_for(1_000);

    let catalog = gateway.write_catalog(&new);
    let start = now();
    let applied = gateway.ctl(&["apply", &catalog]);
    assert!(applied.is_ok(), "{applied:?}");
    let path = format!("/v1/segments?anonymous_id=probe&writeKey={SERVER_KEY}");
    eventually("the new segment", || {
        let order = json!({"type": "track", "event": "Order Completed", "anonymousId": "probe"});
        assert_eq!(gateway.post(&order).outcomes(), ["accepted"]);
        let segments = gateway.get(&path).json()["segments"].clone();
        (segments == json!(["buyers"])).then_some(())
    });
    let took = start.elapsed();
    load.wait_for(1_000);
    let report = load.stop();
    report.assert_answered_only(&[200]);
    assert!(took < Duration::from_secs(1), "live after {took:?}");
    println!(
        "applied and live after {took:?}, slowest request {:?}",
        report.slowest
    );
}

#[test]
fn a_bad_catalog_is_refused_with_its_reasons_and_the_old_one_stays() {
    let _turn = turn();
    let old = Config::new().segment("viewers", "count(event.type == \"page\", \"1h\") >= 1");
    let gateway = Gateway::start(&old);
    let bad = Config::new().segment("broken", "count(event.type ==");
    let catalog = gateway.write_catalog(&bad);
    let refused = gateway.ctl(&["apply", &catalog]).unwrap_err();
    assert!(
        refused.contains("broken") || refused.contains("when"),
        "{refused}"
    );
    let page = json!({"type": "page", "anonymousId": "a-1"});
    assert_eq!(gateway.post(&page).outcomes(), ["accepted"]);
    let path = format!("/v1/segments?anonymous_id=a-1&writeKey={SERVER_KEY}");
    assert_eq!(gateway.get(&path).json()["segments"], json!(["viewers"]));
}
