//! Kafka never there: the gateway serves until its disk budget is used up, then says 503, and what
//! it took stays readable.

use serde_json::json;
use tidegate_tests::load::Load;
use tidegate_tests::records::{assert_holds, journal, message_ids};
use tidegate_tests::{Config, Gateway, eventually, turn};

#[test]
fn it_serves_until_the_disk_budget_and_then_says_503() {
    let _turn = turn();
    // Nothing listens on the discard port.
    let config = Config::new()
        .kafka("127.0.0.1:9", "never")
        .set("journal", "segment_bytes", "\"4MiB\"")
        .set("journal", "disk_budget", "\"24MiB\"");
    let mut gateway = Gateway::start(&config);
    let load = Load::start(&gateway.target(), 16);
    // A short 503 may also come while the next small segment is being prepared.
    let page = json!({"type": "page", "anonymousId": "a"});
    eventually("the disk budget", || {
        (0..20)
            .all(|_| gateway.post(&page).status == 503)
            .then_some(())
    });
    let answer = gateway.post(&page);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.outcomes(), ["overloaded"]);
    assert!(
        answer
            .header("retry-after")
            .parse::<u32>()
            .is_ok_and(|seconds| seconds > 0)
    );
    let pixel = gateway.get("/v1/pixel.gif?type=page&anonymousId=a&writeKey=shop-key");
    assert_eq!(pixel.status, 503);
    assert_eq!(pixel.header("content-type"), "image/gif");
    assert_eq!(pixel.body.len(), 43, "a page does not break");
    let report = load.stop();

    assert!(
        report.acked.len() > 1_000,
        "{} events in 24 MiB",
        report.acked.len()
    );
    report.assert_answered_only(&[200, 503]);
    assert!(gateway.terminate().success());
    let records = journal(&gateway);
    assert_holds("the journal", &message_ids(&records), &report.acked, true);
}
