//! Hostile and broken requests: each ends with the contract's status, is counted exactly once for
//! each event, and is kept as a masked row where it was readable.

use std::io::Write;

use super::client::{Client, ask, events, post};
use crate::edge::fake::Served;
use tidegate_event::Outcome;

const GOOD: &str = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn nested(levels: usize) -> String {
    let properties = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    format!(r#"{{"type":"track","event":"Deep","anonymousId":"a","properties":{properties}}}"#)
}

/// What a body must lead to: status, outcome, bad rows kept.
type Case = (&'static str, Vec<u8>, u16, Outcome, usize);

fn malformed() -> Vec<Case> {
    use Outcome::{Accepted, Invalid};
    let absurd = r#"{"type":"page","anonymousId":"a","timestamp":"9999-12-31T23:59:59Z",
        "sentAt":"1970-01-01T00:00:00Z"}"#;
    let nul_inside = r#"{"type":"track","event":"a\u0000b","anonymousId":"a"}"#;
    let bad = |name, body: &[u8], rows| (name, body.to_vec(), 400, Invalid, rows);
    let good = |name, body: &[u8]| (name, body.to_vec(), 200, Accepted, 0);
    vec![
        bad("no body", b"", 1),
        bad("no JSON", b"hello", 1),
        bad("cut JSON", br#"{"type":"track","#, 1),
        bad("an array", b"[]", 1),
        bad("an empty batch", br#"{"batch":[]}"#, 1),
        bad("a batch of another type", br#"{"batch":7}"#, 1),
        bad("wrong types", br#"{"type":"track","event":7}"#, 1),
        bad("unknown type", br#"{"type":"dance"}"#, 1),
        bad("invalid UTF-8", b"{\"type\":\"tr\xffack\"}", 1),
        bad("a raw NUL", b"{\"type\":\"page\0\"}", 1),
        bad("deep nesting", nested(40).as_bytes(), 1),
        bad("damaged gzip", &gzip(GOOD.as_bytes())[..30], 0),
        good("an escaped NUL", nul_inside.as_bytes()),
        good("an absurd clock", absurd.as_bytes()),
        good("gzip without a header", &gzip(GOOD.as_bytes())),
    ]
}

fn oversized() -> Vec<Case> {
    let huge = format!(r#"{{"type":"track","event":"{}"}}"#, "x".repeat(10 << 20));
    let event = format!(r#"{{"type":"track","event":"{}"}}"#, "x".repeat(40_000));
    let crowd = format!(r#"{{"batch":[{}{{}}]}}"#, "{},".repeat(100_000));
    let big = |name, body: Vec<u8>, rows| (name, body, 413, Outcome::TooLarge, rows);
    vec![
        big("very deep nesting", nested(100_000).into(), 1),
        big("a large event", event.into(), 1),
        big("100,001 events", crowd.into(), 1),
        big("a huge body", huge.into(), 0),
        big("a bomb", gzip(&vec![b' '; 64 << 20]), 0),
    ]
}

#[tokio::test]
async fn every_bad_input_ends_with_its_status_and_is_counted_once() {
    for (name, body, status, outcome, rows) in malformed().into_iter().chain(oversized()) {
        let served = Served::start().await;
        let mut client = Client::to(served.address).await;
        client.send_what_it_takes(&events(&body)).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(served.outcomes.ended(outcome), 1, "{name}");
        assert_eq!(served.balance(), (1, 1), "{name}");
        if status != 200 {
            assert_eq!(answer.json()["success"], false, "{name}");
            assert_eq!(answer.json()["code"], outcome.as_str(), "{name}");
        }
        let kept = served.bad_rows.clone();
        super::client::eventually(|| kept.last(10).unwrap().len() == rows).await;
        for row in kept.last(10).unwrap() {
            assert!(
                !row.contains("hello") && !row.contains("xxx"),
                "{name}: {row}"
            );
        }
    }
}

#[tokio::test]
async fn good_events_of_a_batch_are_accepted_beside_bad_ones() {
    let served = Served::start().await;
    let large = format!(
        r#"{{"type":"page","properties":{{"a":"{}"}}}}"#,
        "x".repeat(33_000)
    );
    let batch =
        format!(r#"{{"batch":[{GOOD},7,{{"type":"track","messageId":"m2"}},{large},{GOOD}]}}"#);
    let answer = ask(served.address, &events(batch)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.outcomes(),
        ["accepted", "invalid", "invalid", "too_large", "accepted"]
    );
    let json = answer.json();
    assert_eq!(json["success"], false);
    assert_eq!(json["results"][2]["message_id"], "m2");
    assert!(
        json["results"][2]["reason"]
            .as_str()
            .unwrap()
            .contains("event")
    );
    assert_eq!(served.balance(), (5, 5));
    let kept = served.bad_rows.clone();
    super::client::eventually(|| kept.last(10).unwrap().len() == 3).await;
    assert!(
        kept.last(10).unwrap()[1].contains("$.batch[2]"),
        "{:?}",
        kept.last(10)
    );
}

#[tokio::test]
async fn encodings_are_undone_and_stacks_of_them_refused() {
    let served = Served::start().await;
    let zstd = zstd::encode_all(GOOD.as_bytes(), 1).unwrap();
    let twice = gzip(&gzip(GOOD.as_bytes()));
    for (header, body, expected) in [
        ("content-encoding: gzip", gzip(GOOD.as_bytes()), 200),
        ("content-encoding: zstd", zstd.clone(), 200),
        ("content-encoding: identity", GOOD.into(), 200),
        ("content-encoding: br", b"\xff\xff\xff".to_vec(), 400),
        ("content-encoding: gzip, zstd", zstd, 400),
        ("content-encoding: gzip, gzip", twice.clone(), 400),
        ("content-encoding: gzip", twice, 400),
        ("content-encoding: lzma", GOOD.into(), 400),
    ] {
        let request = post("/v1/events?writeKey=shop-key", &[header], &body);
        assert_eq!(
            ask(served.address, &request).await.status,
            expected,
            "{header}"
        );
    }
    assert_eq!(served.balance(), (8, 8));
}

#[tokio::test]
async fn a_client_that_still_sends_gets_to_see_the_413() {
    let served = Served::start().await;
    let mut client = Client::to(served.address).await;
    let body = vec![b' '; 10 << 20];
    client.send(&events(&body)).await;
    assert_eq!(client.answer().await.status, 413);
    // The rest was read away, so the connection goes on.
    assert_eq!(client.ask(&events(GOOD)).await.status, 200);
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let served = Served::start().await;
    let mut client = Client::to(served.address).await;
    let headers = ["expect: 100-continue", "content-length: 99999999"];
    let path = "/v1/events?writeKey=shop-key";
    client
        .send(&super::client::request("POST", path, &headers, b""))
        .await;
    assert_eq!(client.answer().await.status, 413);
}

#[tokio::test]
async fn the_limit_holds_for_bodies_of_unknown_length() {
    let served = Served::start_with(|settings| settings.edge.body_bytes_max = 1_000).await;
    let chunked = |chunks: usize| {
        let head = ["transfer-encoding: chunked"];
        let path = "/v1/events?writeKey=shop-key";
        let mut request = super::client::request("POST", path, &head, b"");
        for _ in 0..chunks {
            request.extend_from_slice(format!("{:x}\r\n{GOOD}\r\n", GOOD.len()).as_bytes());
        }
        request.extend_from_slice(b"0\r\n\r\n");
        request
    };
    assert_eq!(ask(served.address, &chunked(1)).await.status, 200);
    assert_eq!(ask(served.address, &chunked(2)).await.status, 400);
    assert_eq!(ask(served.address, &chunked(1_000)).await.status, 413);
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up_with_the_status_that_clients_send_again_after() {
    let served = Served::start_with(|settings| settings.edge.body_timeout_ms = 30).await;
    let mut client = Client::to(served.address).await;
    let whole = events(GOOD);
    client.send(&whole[..whole.len() - 5]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, served.balance()), (408, (1, 1)));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("in time")
    );
    let counted = "tidegate_edge_requests_total{status=\"408\"} 1\n";
    assert!(served.metrics().contains(counted));
    // The rest comes too late, and is no request of its own.
    client.send_what_it_takes(&whole[whole.len() - 5..]).await;
    client.send_what_it_takes(&events(GOOD)).await;
    assert!(client.is_closed_silently().await);
    assert_eq!(served.balance(), (1, 1));
}
