//! Why was this hit dropped: the admin listener knows, by message id.

use serde_json::json;
use tidegate_tests::{Config, Gateway, turn};

#[test]
fn a_dropped_hit_is_found_by_its_message_id_with_its_reason() {
    let _turn = turn();
    let gateway = Gateway::start(&Config::new().set("telemetry", "outcomes_sample", "1"));
    let bad = json!({"type": "track", "anonymousId": "visitor-7", "messageId": "m-bad"});
    assert_eq!(gateway.post(&bad).outcomes(), ["invalid"]);
    let good = json!({"type": "page", "anonymousId": "visitor-7", "messageId": "m-good"});
    assert_eq!(gateway.post(&good).outcomes(), ["accepted"]);
    let found = gateway.admin("/debug/outcomes?message_id=m-bad").json();
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found[0]["outcome"], "invalid");
    assert_eq!(found[0]["status"], 400);
    assert_eq!(found[0]["source"], "shop");
    assert_eq!(found[0]["path"], "/v1/events");
    assert!(
        found[0]["reason"]
            .as_str()
            .is_some_and(|why| why.contains("event")),
        "{found}"
    );
    let last = gateway.admin("/debug/outcomes?last=100");
    assert_eq!(last.json()[0]["message_id"], "m-good");
    assert_eq!(last.json()[0]["status"], 200);
    assert!(!last.text().contains("visitor-7"), "{}", last.text());
    let edge = gateway.get("/debug/outcomes");
    assert_eq!(edge.status.as_u16(), 404, "never through the edge port");
}
