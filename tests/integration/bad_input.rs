//! Whatever is sent, it ends with a status and a reason, is counted once, and its good neighbours
//! are taken.

use serde_json::{Value, json};
use tidegate_tests::http::Answer;
use tidegate_tests::{Config, Gateway, turn};

/// What is sent, and the statuses that may answer it.
fn unreadable() -> Vec<(&'static str, Vec<u8>, &'static [u16])> {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"type":"page","anonymousId":"a","properties":{{"d":{deep}}}}}"#);
    let many = format!(r#"{{"batch":[{}]}}"#, vec!["{}"; 100_000].join(","));
    vec![
        ("nothing", Vec::new(), &[400]),
        ("broken JSON", br#"{"type":"page""#.to_vec(), &[400]),
        ("a number", b"42".to_vec(), &[400]),
        (
            "invalid UTF-8",
            b"{\"type\":\"page\",\"anonymousId\":\"\xff\xfe\"}".to_vec(),
            &[400],
        ),
        ("a NUL byte", b"{\"type\":\"page\0\"}".to_vec(), &[400]),
        (
            "a wrong type",
            br#"{"type":7,"anonymousId":"a"}"#.to_vec(),
            &[400],
        ),
        ("no type", br#"{"anonymousId":"a"}"#.to_vec(), &[400]),
        (
            "a batch that is none",
            br#"{"batch":{"type":"page"}}"#.to_vec(),
            &[400],
        ),
        ("deep nesting", deep.into_bytes(), &[400, 413]),
        ("100,000 elements", many.into_bytes(), &[413]),
        ("10 MB", vec![b' '; 10 << 20], &[413]),
    ]
}

fn counted(gateway: &Gateway) -> (f64, f64) {
    let received = gateway.metric("tidegate_received_events_total", "");
    let outcomes = gateway.metric("tidegate_events_total", "");
    (received.unwrap_or(0.0), outcomes.unwrap_or(0.0))
}

#[test]
fn every_bad_request_has_its_status_and_is_counted_once() {
    let _turn = turn();
    let gateway = Gateway::start(&Config::new());
    for (what, body, statuses) in unreadable() {
        let (before, _) = counted(&gateway);
        let answer = gateway
            .try_post(body)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(
            statuses.contains(&answer.status.as_u16()),
            "{what}: {}",
            answer.status
        );
        assert!(!answer.body.is_empty(), "{what}: the answer says why");
        let (received, outcomes) = counted(&gateway);
        assert_eq!(received - before, 1.0, "{what} counts once");
        assert_eq!(
            received, outcomes,
            "{what}: received is the sum of outcomes"
        );
    }
    good(&gateway);
}

#[test]
fn good_events_of_a_bad_batch_are_taken() {
    let _turn = turn();
    let gateway = Gateway::start(&Config::new());
    let batch = json!({"batch": [
        {"type": "page", "messageId": "g-1", "anonymousId": "a"},
        {"type": "unheard", "messageId": "b-1", "anonymousId": "a"},
        7,
        {"type": "track", "messageId": "b-2", "anonymousId": "a"},
        {"type": "track", "event": "E", "messageId": "g-2", "anonymousId": "a",
         "timestamp": "9999-12-31T23:59:59Z"},
        {"type": "track", "event": "E", "messageId": "g-3", "anonymousId": "a",
         "timestamp": "0001-01-01T00:00:00Z"},
    ]});
    let answer = gateway.post(&batch);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = [
        "accepted", "invalid", "invalid", "invalid", "accepted", "accepted",
    ];
    assert_eq!(answer.outcomes(), expected);
    assert_eq!(answer.json()["success"], false);
    let reasons = |n: usize| answer.json()["results"][n]["reason"].clone();
    assert!((1..4).all(|n| reasons(n).is_string()), "{}", answer.text());
    let (received, outcomes) = counted(&gateway);
    assert_eq!((received, outcomes), (6.0, 6.0));
}

#[test]
fn a_gzip_bomb_is_stopped_while_it_inflates() {
    let _turn = turn();
    let mut gateway = Gateway::start(&Config::new());
    let before_kib = gateway.process().memory_kib().unwrap();
    let answer = gzipped(&gateway, &gzip_of_zeros(1 << 30));
    assert_eq!(answer.status, 413);
    let after_kib = gateway.process().memory_kib().unwrap();
    assert!(
        after_kib < before_kib + (64 << 10),
        "{before_kib} -> {after_kib} KiB"
    );
    good(&gateway);
}

#[test]
fn bad_rows_keep_the_reason_and_mask_the_values() {
    let _turn = turn();
    let gateway = Gateway::start(&Config::new());
    let bad = json!({"type": "track", "anonymousId": "secret-visitor", "event": 5});
    assert_eq!(gateway.post(&bad).status, 400);
    let rows = tidegate_tests::eventually("the bad row", || {
        let rows = gateway.admin("/admin/v1/bad-rows").text();
        rows.contains("event").then_some(rows)
    });
    assert!(!rows.contains("secret-visitor"), "{rows}");
}

fn gzipped(gateway: &Gateway, body: &[u8]) -> Answer {
    let path = "/v1/events?writeKey=shop-key";
    let headers = [
        ("content-encoding", "gzip"),
        ("content-type", "application/json"),
    ];
    let http = gateway.addresses().http;
    tidegate_tests::http::request(http, hyper::Method::POST, path, &headers, body.to_vec()).unwrap()
}

/// A gzip file of `bytes` zeros in stored-and-repeated deflate blocks, made without a library: one
/// fixed-Huffman block of a literal and matches of length 258 at distance 1.
fn gzip_of_zeros(bytes: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(1, 1);
    bits.push(0b01, 2);
    bits.push_code(0b0011_0000, 8);
    for _ in 0..(bytes - 1) / 258 {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0, 7);
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    file.extend(bits.finish());
    file.extend([0; 8]);
    file
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, value: u32, width: u32) {
        self.held |= value << self.count;
        self.count += width;
        while self.count >= 8 {
            self.bytes.push(self.held.to_le_bytes()[0]);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes go in with their highest bit first.
    fn push_code(&mut self, code: u32, width: u32) {
        self.push(code.reverse_bits() >> (32 - width), width);
    }

    fn finish(mut self) -> Vec<u8> {
        self.push(0, 7);
        self.bytes
    }
}

fn good(gateway: &Gateway) {
    let page: Value = json!({"type": "page", "anonymousId": "a"});
    assert_eq!(
        gateway.post(&page).outcomes(),
        ["accepted"],
        "it still serves"
    );
}
