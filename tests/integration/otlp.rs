//! Traces: what a collector gets of a request and of a delivery, whose word decides, and that
//! nothing about a visitor leaves that way and nobody waits for it.

use hyper::Method;
use serde_json::json;
use tidegate_tests::config::WEB_KEY;
use tidegate_tests::http::request;
use tidegate_tests::otlp::{Collector, attribute};
use tidegate_tests::{Config, Gateway, Receiver, eventually, turn};

fn traced(endpoint: &str, sample: u32) -> Config {
    Config::new()
        .set("telemetry.otlp", "endpoint", &format!("\"{endpoint}\""))
        .set("telemetry.otlp", "sample", &sample.to_string())
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// One event, with everything about a visitor that a request can say.
fn post(gateway: &Gateway, flags: &str) {
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-{flags}");
    let headers = [
        ("content-type", "application/json"),
        ("x-forwarded-for", "203.0.113.9"),
        ("cookie", "tg_vid=cookie-of-nobody"),
        ("user-agent", "agent-of-nobody"),
        ("traceparent", &traceparent),
    ];
    let body = json!({"type": "track", "event": "Seen", "anonymousId": "visitor-7731",
        "userId": "user-7731", "properties": {"secret": "property-7731"}});
    let path = format!("/v1/events?writeKey={WEB_KEY}&about=query-7731");
    let (to, body) = (gateway.addresses().http, body.to_string());
    let answer = request(to, Method::POST, &path, &headers, body).unwrap();
    assert_eq!(answer.outcomes(), ["accepted"]);
}

#[test]
fn a_request_and_its_delivery_are_traced_without_a_word_about_the_visitor() {
    let _turn = turn();
    let (collector, partner) = (Collector::start(), Receiver::start());
    let config = traced(&collector.endpoint(), 1)
        .segment("seen", "event.name == \"Seen\"")
        .webhook("ads", &partner.url(), &["seen"]);
    let mut gateway = Gateway::start(&config);
    post(&gateway, "01");
    let whole = collector.wait_for("the request's span", |span| span.name == "POST /v1/events");
    assert_eq!(attribute(&whole, "http.response.status_code"), "200");
    assert_eq!(attribute(&whole, "http.route"), "/v1/events");
    assert_ne!(
        whole.trace_id,
        decoded(TRACE),
        "anybody may send a traceparent"
    );
    for name in ["receive", "decide", "make durable"] {
        let stage = collector.wait_for(name, |span| span.name == name);
        assert_eq!(stage.parent_span_id, whole.span_id);
        let (start, end) = (whole.start_time_unix_nano, whole.end_time_unix_nano);
        assert!(start <= stage.start_time_unix_nano && stage.end_time_unix_nano <= end);
    }
    let delivery = collector.wait_for("the delivery's span", |span| span.name == "deliver");
    assert_eq!(attribute(&delivery, "tidegate.destination"), "ads");
    assert_eq!(attribute(&delivery, "http.response.status_code"), "200");

    assert!(gateway.terminate().success());
    let sent = String::from_utf8_lossy(&collector.bytes()).into_owned();
    assert!(sent.contains("tidegate"));
    for private in ["7731", "nobody", "203.0.113", "127.0.0.1", WEB_KEY, "Seen"] {
        assert!(!sent.contains(private), "{private} was sent");
    }
}

#[test]
fn a_trusted_peer_decides_which_of_its_requests_are_traced() {
    let _turn = turn();
    let collector = Collector::start();
    let config = traced(&collector.endpoint(), 0).set("edge", "trusted_proxies", "[\"127.0.0.1\"]");
    let mut gateway = Gateway::start(&config);
    post(&gateway, "00");
    post(&gateway, "01");
    let whole = collector.wait_for("the request's span", |span| span.name == "POST /v1/events");
    assert_eq!(whole.trace_id, decoded(TRACE));
    assert_eq!(whole.parent_span_id, decoded("b7ad6b7169203331"));
    assert!(gateway.terminate().success());
    let requests = collector.spans();
    let requests = requests.iter().filter(|span| span.name.starts_with("POST"));
    assert_eq!(requests.count(), 1);
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let _turn = turn();
    let endpoint = {
        let gone = Collector::start();
        gone.endpoint()
    };
    let config = traced(&endpoint, 1).set("telemetry.otlp", "timeout", "\"500ms\"");
    let mut gateway = Gateway::start(&config);
    for _ in 0..20 {
        post(&gateway, "01");
    }
    eventually("the loss", || {
        let lost = gateway.metric("tidegate_otlp_spans_total", "result=\"failed\"");
        lost.filter(|lost| *lost > 0.0)
    });
    assert!(gateway.terminate().success());
    assert!(
        gateway.log().contains("telemetry.otlp.endpoint"),
        "{}",
        gateway.log()
    );
}

fn decoded(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}
