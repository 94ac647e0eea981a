//! A user agent on its way from the edge to the record and to a rule, with the embedded data and
//! with an operator's own.

use std::fs;

use http::Method;
use serde_json::{Value, json};
use tidegate_tests::config::WEB_KEY;
use tidegate_tests::http::request;
use tidegate_tests::records::journal;
use tidegate_tests::{Config, Gateway, turn};

const PIXEL: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UQ1A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";
const MODEL_CALLED_BOT: &str = "Mozilla/5.0 (Linux; Android 7.0; M bot 51 Build/NRD90M) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Mobile Safari/537.36";

fn page(gateway: &Gateway, visitor: &str, user_agent: &str) {
    let body = json!({"type": "page", "anonymousId": visitor, "messageId": visitor});
    let path = format!("/v1/events?writeKey={WEB_KEY}");
    let headers = [("user-agent", user_agent)];
    let http = gateway.addresses().http;
    let answer = request(http, Method::POST, &path, &headers, body.to_string()).unwrap();
    assert_eq!(answer.status.as_u16(), 200);
}

fn record<'a>(records: &'a [Value], visitor: &str) -> &'a Value {
    let mut records = records.iter();
    let found = records.find(|record| record["message_id"] == visitor);
    found.unwrap_or_else(|| panic!("no record of {visitor}"))
}

#[test]
fn a_user_agent_reaches_the_record_and_a_rule() {
    let _turn = turn();
    let rule = r#"device.brand == "Google" && device.os == "Android" && device.browser == "Chrome Mobile" && device.browser_version >= 141"#;
    let gateway = Gateway::start(&Config::new().segment("pixels", rule));
    page(&gateway, "pixel", PIXEL);
    page(&gateway, "model", MODEL_CALLED_BOT);
    page(&gateway, "curl", "curl/8.5.0");
    page(&gateway, "latin", "caf\u{e9} \u{fffd}");
    let counted = |source: &str| {
        let labels = format!("source=\"{source}\",outcome=\"accepted\"");
        gateway.metric("tidegate_source_events_total", &labels)
    };
    assert_eq!(counted("shop"), Some(4.0));
    assert_eq!(counted("none"), Some(0.0));
    let records = journal(&gateway);
    let pixel = record(&records, "pixel");
    let device = json!({"class": "mobile", "bot": false, "brand": "Google", "os": "Android",
        "browser": "Chrome Mobile", "browser_version": 141});
    assert_eq!(pixel["context"]["device"], device);
    assert_eq!(pixel["transitions"][0]["segment"], "pixels", "{pixel}");
    let model = record(&records, "model");
    assert_eq!(model["context"]["device"]["class"], "mobile", "{model}");
    assert_eq!(model["context"]["device"]["bot"], false, "{model}");
    assert_eq!(model["transitions"], json!([]), "{model}");
    let curl = record(&records, "curl");
    assert_eq!(curl["context"]["device"]["class"], "bot", "{curl}");
    let latin = record(&records, "latin");
    assert_eq!(
        latin["context"]["device"],
        json!({"class": "unknown", "bot": false})
    );
}

#[test]
fn an_operators_list_of_crawlers_takes_effect_on_reload() {
    let _turn = turn();
    let files = tempfile::tempdir().unwrap();
    let list = files.path().join("crawlers.json");
    fs::write(&list, r#"[{"pattern": "first-crawler"}]"#).unwrap();
    let config = Config::new()
        .set("user_agents", "crawlers", &format!("{list:?}"))
        .set("reload", "watch_interval", "\"0s\"");
    let gateway = Gateway::start(&config);
    page(
        &gateway,
        "first",
        "Mozilla/5.0 (Windows NT 10.0) first-crawler",
    );
    fs::write(&list, r#"[{"pattern": "second-crawler"}]"#).unwrap();
    let said = gateway.ctl(&["reload"]).unwrap();
    assert!(
        said.contains("changed        the user agent data"),
        "{said}"
    );
    page(
        &gateway,
        "second",
        "Mozilla/5.0 (Windows NT 10.0) first-crawler",
    );
    page(
        &gateway,
        "third",
        "Mozilla/5.0 (Windows NT 10.0) second-crawler",
    );
    let records = journal(&gateway);
    let class = |visitor| record(&records, visitor)["context"]["device"]["class"].clone();
    assert_eq!(class("first"), "bot");
    assert_eq!(class("second"), "desktop");
    assert_eq!(class("third"), "bot");
}
