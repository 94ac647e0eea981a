//! Requests that two readers could frame differently: each is refused, and nothing behind it is
//! read as a request of its own.

use super::client::{Client, ask, events, eventually, get};
use super::frames::{self, HEADERS, RST_STREAM};
use crate::edge::fake::Served;
use tokio::io::AsyncWriteExt;

/// A request that must never be taken for one.
const SMUGGLED: &str = "POST /v1/events?writeKey=shop-key HTTP/1.1\r\nhost: localhost\r\n\
    content-length: 31\r\n\r\n{\"type\":\"track\",\"event\":\"Evil\"}";

/// So patient that nothing below ends by running out of time.
async fn patient() -> Served {
    Served::start_with(|settings| {
        settings.edge.header_timeout_ms = 3_600_000;
        settings.edge.idle_timeout_ms = 3_600_000;
        settings.edge.body_timeout_ms = 3_600_000;
    })
    .await
}

/// Sends it as it is, a byte at a time, and with a request behind it: each time the answer is 400,
/// and the connection ends though the client keeps its side open.
async fn is_refused(served: &Served, name: &str, request: &str) {
    let mut alone = Client::to(served.address).await;
    alone.send_what_it_takes(request.as_bytes()).await;
    let mut dripping = Client::to(served.address).await;
    for byte in request.as_bytes() {
        dripping.send_what_it_takes(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    let mut followed = Client::to(served.address).await;
    let both = format!("{request}{SMUGGLED}");
    followed.send_what_it_takes(both.as_bytes()).await;
    for (how, mut client) in [
        ("alone", alone),
        ("slowly", dripping),
        ("followed", followed),
    ] {
        assert_eq!(client.answer().await.status, 400, "{name}, {how}");
        assert!(client.is_closed_silently().await, "{name}, {how}");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn what_has_two_readings_gets_400_at_once_and_the_connection_ends() {
    let served = patient().await;
    let post = "POST /v1/events?writeKey=shop-key HTTP/1.1\r\nhost: localhost\r\n";
    for (name, head) in [
        (
            "CL.TE",
            format!("{post}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "TE.CL",
            format!("{post}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n"),
        ),
        (
            "TE.TE",
            format!(
                "{post}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "TE obfuscated",
            format!("{post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "TE with a blank before the colon",
            format!("{post}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "two lengths",
            format!("{post}content-length: 0\r\ncontent-length: 5\r\n\r\n"),
        ),
        (
            "one length twice",
            format!("{post}content-length: 0\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "a list of lengths",
            format!("{post}content-length: 0, 0\r\n\r\n"),
        ),
        (
            "a signed length",
            format!("{post}content-length: +0\r\n\r\n"),
        ),
        (
            "bare LF in the head",
            format!("{post}x: y\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "bare LF at its end",
            format!("{post}content-length: 0\r\n\n"),
        ),
        (
            "obs-fold",
            format!("{post}x: y\r\n content-length: 0\r\n\r\n"),
        ),
        (
            "folded transfer-encoding",
            format!("{post}transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("a NUL", format!("{post}x: a\0b\r\n\r\n")),
        (
            "no host",
            "GET /healthz HTTP/1.1\r\naccept: a\r\n\r\n".to_owned(),
        ),
        (
            "two hosts",
            "GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(),
        ),
        (
            "a host that is none",
            "GET /healthz HTTP/1.1\r\nhost: x/y@z\r\n\r\n".to_owned(),
        ),
        (
            "a target of another host",
            "GET http://evil/healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        ),
        (
            "a target with a user",
            "GET http://a@localhost/healthz HTTP/1.1\r\nhost: a@localhost\r\n\r\n".to_owned(),
        ),
    ] {
        is_refused(&served, name, &head).await;
    }
    assert!(served.core.seen().is_empty());
}

#[tokio::test]
async fn damaged_chunks_end_the_connection() {
    let served = patient().await;
    for chunks in [
        "1\n{\r\n0\r\n\r\n",
        "2\r\n{}x\r\n0\r\n\r\n",
        "-1\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "2;a=b\nc\r\n{}\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nx: y\nz: a\r\n\r\n",
        "2\r\n{}\r\n0\r\n\n",
    ] {
        let head = "POST /v1/events?writeKey=shop-key HTTP/1.1\r\nhost: localhost\r\n\
            transfer-encoding: chunked\r\n\r\n";
        is_refused(&served, chunks, &format!("{head}{chunks}")).await;
    }
    assert!(served.core.seen().is_empty());
}

#[tokio::test]
async fn an_honest_request_ahead_of_an_ambiguous_one_is_answered() {
    let served = patient().await;
    let mut client = Client::to(served.address).await;
    let event = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;
    let folded = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\na: b\r\n c\r\n\r\n";
    client.send(&[&events(event)[..], folded].concat()).await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(client.answer().await.status, 400);
    assert!(client.is_closed_silently().await);
}

#[tokio::test]
async fn a_target_may_name_the_host_that_host_names() {
    let served = Served::start().await;
    let whole = b"GET http://LocalHost:80/healthz HTTP/1.1\r\nhost: localhost:80\r\n\r\n";
    assert_eq!(ask(served.address, whole).await.status, 200);
}

#[tokio::test]
async fn honest_chunks_and_pipelines_pass() {
    let served = Served::start().await;
    let mut client = Client::to(served.address).await;
    let event = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;
    let chunked = format!(
        "POST /v1/events?writeKey=shop-key HTTP/1.1\r\nhost: localhost\r\n\
         transfer-encoding: chunked\r\n\r\n{:x};x=y\r\n{}\r\n{:x}\r\n{}\r\n0\r\ntrailer: 1\r\n\r\n",
        10,
        &event[..10],
        event.len() - 10,
        &event[10..],
    );
    for _ in 0..2 {
        client.send(chunked.as_bytes()).await;
        client.send(&events(event)).await;
        client.send(&get("/healthz", &[])).await;
    }
    for _ in 0..6 {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(served.balance(), (4, 4));
}

/// The type of the first frame that answers such a request, and its first byte.
async fn http2(served: &Served, fields: &[(&str, &str)]) -> Option<(u8, u8)> {
    let bytes = [frames::opening(), frames::request(1, fields)].concat();
    let mut stream = frames::sent(served, &bytes).await;
    stream.shutdown().await.unwrap();
    let answer = frames::all(stream).await;
    let first = answer.iter().find(|frame| frame.stream == 1)?;
    Some((first.kind, *first.payload.first()?))
}

#[tokio::test]
async fn tricks_with_pseudo_headers_are_refused() {
    const STATUS_200: u8 = 0x88;
    const STATUS_400: u8 = 0x8c;
    let served = Served::start().await;
    let good = frames::HEALTH;
    assert_eq!(http2(&served, &good).await, Some((HEADERS, STATUS_200)));
    for (name, value) in [
        (":path", "/v1/events"),
        (":method", "POST"),
        (":authority", "other"),
        (":status", "200"),
        (":evil", "x"),
        ("Host", "localhost"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("host", "other.example"),
        ("content-length", "5"),
        ("x", "a\r\nhost: b"),
        ("x\r\ny", "a"),
        ("a b", "c"),
    ] {
        let fields = [&good[..], &[(name, value)]].concat();
        match http2(&served, &fields).await {
            None | Some((RST_STREAM, _) | (HEADERS, STATUS_400)) => {}
            Some(other) => panic!("{name}: {value:?} was answered by {other:?}"),
        }
    }
    for (name, value) in [
        (":path", "/v1 HTTP/1.1\r\nhost: b\r\n\r\n"),
        (":path", ""),
        (":path", "healthz"),
        (":method", "GET / HTTP/1.1\r\nx:"),
        (":authority", "a@localhost"),
        (":authority", "local host"),
    ] {
        let fields = good.map(|field| {
            if field.0 == name {
                (name, value)
            } else {
                field
            }
        });
        match http2(&served, &fields).await {
            None | Some((RST_STREAM, _) | (HEADERS, STATUS_400)) => {}
            Some(other) => panic!("{name}: {value:?} was answered by {other:?}"),
        }
    }
    for fields in [
        &[&good[..], &[("content-length", "0"); 2]].concat()[..],
        &good[..3],
    ] {
        let answer = http2(&served, fields).await;
        assert_eq!(answer, Some((HEADERS, STATUS_400)), "{fields:?}");
    }
    eventually(|| served.core.seen().is_empty()).await;
}
