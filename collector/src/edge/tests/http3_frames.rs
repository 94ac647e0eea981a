//! HTTP/3 clients that send what costs memory or work: what they get is H3_EXCESSIVE_LOAD, and what
//! the gateway holds for them stays within its bounds.

use std::time::Duration;

use h3::error::Code;
use http::Request;
use quinn::{ConnectionError, SendStream, TransportConfig};
use tidegate_event::Outcome;

use super::client::eventually;
use super::secure_client::{Http3, quic_to};
use crate::edge::fake::Served;

const EVENT: &[u8] = br#"{"type":"track","event":"Seen","properties":{"padding":"0123456789"}}"#;
const TEBIBYTE: u64 = 1 << 40;
const HEADER_BYTES_MAX: usize = 8_192;

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
const CANCEL_PUSH: u64 = 0x3;
const SETTINGS: u64 = 0x4;
/// Reserved, to be ignored.
const UNKNOWN: u64 = 0x21;

/// A client that writes its own frames.
struct Raw {
    _endpoint: quinn::Endpoint,
    quic: quinn::Connection,
    control: SendStream,
}

impl Raw {
    /// One that has said its SETTINGS.
    async fn to(served: &Served) -> Self {
        let (endpoint, quic) = quic_to(served, TransportConfig::default()).await.unwrap();
        let mut control = quic.open_uni().await.unwrap();
        control.write_all(&[0]).await.unwrap();
        control.write_all(&frame(SETTINGS, b"")).await.unwrap();
        Self {
            _endpoint: endpoint,
            quic,
            control,
        }
    }

    /// A stream with the head of a POST of events.
    async fn post(&self) -> (SendStream, quinn::RecvStream) {
        let (mut send, receive) = self.quic.open_bi().await.unwrap();
        send.write_all(&frame(HEADERS, &head())).await.unwrap();
        (send, receive)
    }

    /// The code that the server closed the connection with.
    async fn closed(&self) -> Code {
        let closed = tokio::time::timeout(Duration::from_secs(20), self.quic.closed());
        match closed.await.expect("the connection is still open") {
            ConnectionError::ApplicationClosed(close) => Code::from(close.error_code.into_inner()),
            other => panic!("{other}"),
        }
    }
}

fn integer(value: u64) -> Vec<u8> {
    match value {
        0..64 => vec![u8::try_from(value).unwrap()],
        64..16_384 => u16::try_from(value | 1 << 14).unwrap().to_be_bytes().into(),
        _ => (value | 3 << 62).to_be_bytes().into(),
    }
}

/// The beginning of a frame that announces so many bytes.
fn announced(kind: u64, bytes: u64) -> Vec<u8> {
    [integer(kind), integer(bytes)].concat()
}

fn frame(kind: u64, content: &[u8]) -> Vec<u8> {
    let mut frame = announced(kind, content.len() as u64);
    frame.extend(content);
    frame
}

/// QPACK without a table: POST, https, and two literals with static names.
fn head() -> Vec<u8> {
    let mut head = vec![0, 0, 0xd4, 0xd7];
    for (name, value) in [(0x50, "localhost"), (0x51, "/v1/events?writeKey=shop-key")] {
        head.push(name);
        head.push(u8::try_from(value.len()).unwrap());
        head.extend(value.as_bytes());
    }
    head
}

/// Sends up to so many bytes of nothing, until the connection is closed.
async fn pour(stream: &mut SendStream, bytes: usize) {
    let piece = vec![0; 64 << 10];
    let pouring = async {
        for _ in 0..bytes / piece.len() {
            if stream.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(20), pouring).await;
}

fn buffered(served: &Served) -> usize {
    let metrics = served.metrics();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("tidegate_edge_buffered_bytes "));
    line.unwrap().parse().unwrap()
}

fn cut(served: &Served, reason: &str) -> u64 {
    let name = format!("tidegate_edge_connections_cut_total{{reason=\"{reason}\"}} ");
    let metrics = served.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

async fn small_heads() -> Served {
    Served::secure(|settings| settings.edge.header_bytes_max = HEADER_BYTES_MAX).await
}

async fn serves(client: &mut Http3) {
    let request = Request::post("https://localhost/v1/events?writeKey=shop-key").body(());
    assert_eq!(client.ask(request.unwrap(), EVENT).await.status(), 200);
}

#[tokio::test]
async fn a_frame_that_announces_a_tebibyte_is_refused_at_once() {
    let served = small_heads().await;
    let mut good = Http3::to(&served).await;
    for on_control in [true, false] {
        let mut client = Raw::to(&served).await;
        let sent = if on_control {
            let mut second = announced(SETTINGS, TEBIBYTE);
            second.extend([0; 100]);
            client.control.write_all(&second).await
        } else {
            let (mut send, _receive) = client.quic.open_bi().await.unwrap();
            let sent = send.write_all(&announced(HEADERS, TEBIBYTE)).await;
            pour(&mut send, 8 << 20).await;
            sent
        };
        assert!(sent.is_ok());
        assert_eq!(client.closed().await, Code::H3_EXCESSIVE_LOAD);
        assert_eq!(buffered(&served), 0);
    }
    serves(&mut good).await;
    eventually(|| cut(&served, "head_too_large") == 2).await;
}

#[tokio::test]
async fn unknown_frames_without_end_are_a_flood() {
    let served = small_heads().await;
    let mut good = Http3::to(&served).await;
    for on_control in [true, false] {
        let mut client = Raw::to(&served).await;
        let (mut body, _receive) = client.post().await;
        let stream = if on_control {
            &mut client.control
        } else {
            &mut body
        };
        stream
            .write_all(&announced(UNKNOWN, TEBIBYTE))
            .await
            .unwrap();
        pour(stream, 8 << 20).await;
        assert_eq!(client.closed().await, Code::H3_EXCESSIVE_LOAD);
        assert_eq!(buffered(&served), 0);
    }
    serves(&mut good).await;
    eventually(|| cut(&served, "flood") == 2).await;
}

#[tokio::test]
async fn frames_that_carry_next_to_nothing_are_a_flood() {
    let served = small_heads().await;
    let mut good = Http3::to(&served).await;
    for useless in [frame(DATA, b""), frame(DATA, b"x"), frame(UNKNOWN, b"")] {
        let client = Raw::to(&served).await;
        let (mut send, _receive) = client.post().await;
        let flood = useless.repeat(100_000);
        let _ = send.write_all(&flood).await;
        assert_eq!(client.closed().await, Code::H3_EXCESSIVE_LOAD);
    }
    serves(&mut good).await;
    eventually(|| cut(&served, "flood") == 3).await;
    eventually(|| buffered(&served) == 0).await;
}

#[tokio::test]
async fn heads_that_never_end_hold_a_bounded_part_of_memory() {
    let served = small_heads().await;
    let client = Raw::to(&served).await;
    let mut streams = Vec::new();
    let mut most = 0;
    for _ in 0..20 {
        let Ok((mut send, receive)) = client.quic.open_bi().await else {
            break;
        };
        let mut part = announced(HEADERS, HEADER_BYTES_MAX as u64);
        part.extend(vec![0; HEADER_BYTES_MAX - 1]);
        if send.write_all(&part).await.is_err() {
            break;
        }
        streams.push((send, receive));
        most = most.max(buffered(&served));
    }
    assert_eq!(client.closed().await, Code::H3_EXCESSIVE_LOAD);
    assert!(most <= 5 * (HEADER_BYTES_MAX + 16), "{most}");
    eventually(|| buffered(&served) == 0).await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_counted_until_it_is_whole() {
    let served = small_heads().await;
    let client = Raw::to(&served).await;
    let (mut send, mut receive) = client.quic.open_bi().await.unwrap();
    let mut request = frame(UNKNOWN, b"grease");
    let head = frame(HEADERS, &head());
    request.extend(&head[..head.len() - 1]);
    for byte in request {
        send.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    eventually(|| buffered(&served) == head.len() - 1).await;
    send.write_all(&head[head.len() - 1..]).await.unwrap();
    send.write_all(&frame(DATA, EVENT)).await.unwrap();
    send.finish().unwrap();
    let answer = receive.read_to_end(64 << 10).await.unwrap();
    // Its first frame begins with status 200 of the static table.
    assert!(answer.contains(&0xd9), "{answer:?}");
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 1);
    eventually(|| buffered(&served) == 0).await;
}

#[tokio::test]
async fn an_empty_data_frame_does_not_end_a_body() {
    let served = small_heads().await;
    let client = Raw::to(&served).await;
    let (mut send, mut receive) = client.post().await;
    let (first, second) = EVENT.split_at(40);
    for part in [b"", first, b"", second, b""] {
        send.write_all(&frame(DATA, part)).await.unwrap();
    }
    send.finish().unwrap();
    receive.read_to_end(64 << 10).await.unwrap();
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 1);
}

#[tokio::test]
async fn what_ends_within_a_frame_is_an_error() {
    let served = small_heads().await;
    let client = Raw::to(&served).await;
    let (mut send, _receive) = client.post().await;
    let mut body = announced(DATA, EVENT.len() as u64 + 1);
    body.extend(EVENT);
    send.write_all(&body).await.unwrap();
    send.finish().unwrap();
    assert_eq!(client.closed().await, Code::H3_FRAME_ERROR);
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 0);
    let mut client = Raw::to(&served).await;
    client
        .control
        .write_all(&frame(CANCEL_PUSH, b""))
        .await
        .unwrap();
    assert_eq!(client.closed().await, Code::H3_FRAME_ERROR);
    eventually(|| cut(&served, "malformed") == 2).await;
}

#[tokio::test]
async fn qpack_instructions_without_end_are_a_flood() {
    let served = small_heads().await;
    for kind in [2, 3] {
        let client = Raw::to(&served).await;
        let mut stream = client.quic.open_uni().await.unwrap();
        stream.write_all(&[kind]).await.unwrap();
        pour(&mut stream, 8 << 20).await;
        assert_eq!(client.closed().await, Code::H3_EXCESSIVE_LOAD);
    }
    let client = Raw::to(&served).await;
    for _ in 0..2 {
        let mut stream = client.quic.open_uni().await.unwrap();
        stream.write_all(&[2]).await.unwrap();
        std::mem::forget(stream);
    }
    assert_eq!(client.closed().await, Code::H3_STREAM_CREATION_ERROR);
}

#[tokio::test]
async fn streams_of_unknown_types_are_refused_and_cost() {
    let served = small_heads().await;
    let mut client = Raw::to(&served).await;
    let mut refused = 0_u64;
    let code = loop {
        let Ok(mut stream) = client.quic.open_uni().await else {
            break client.closed().await;
        };
        if stream.write_all(&integer(UNKNOWN)).await.is_err() {
            break client.closed().await;
        }
        match stream.stopped().await {
            Ok(code) => assert_eq!(code.unwrap().into_inner(), 0x103),
            Err(_) => break client.closed().await,
        }
        refused += 1;
        if refused == 20 {
            // Others of them cost the same; the rest of the allowance goes faster so.
            let _ = client
                .control
                .write_all(&frame(UNKNOWN, b"").repeat(4_090))
                .await;
        }
    };
    assert_eq!(code, Code::H3_EXCESSIVE_LOAD);
    assert!(refused >= 20);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_and_given_up() {
    let served = Served::secure(|settings| settings.edge.body_timeout_ms = 200).await;
    let client = Raw::to(&served).await;
    let (send, mut receive) = client.post().await;
    let answer = receive.read_to_end(64 << 10).await.unwrap();
    assert!(!answer.is_empty());
    let stopped = tokio::time::timeout(Duration::from_secs(20), send.stopped());
    let code = stopped.await.unwrap().unwrap().unwrap();
    assert_eq!(code.into_inner(), Code::H3_NO_ERROR.value());
    let answered = "tidegate_edge_requests_total{status=\"408\"} 1\n";
    assert!(served.metrics().contains(answered));
}

#[tokio::test]
async fn a_client_that_lets_us_open_no_stream_is_given_up() {
    let served = Served::secure(|settings| settings.edge.tls.handshake_timeout_ms = 200).await;
    let mut transport = TransportConfig::default();
    transport.max_concurrent_uni_streams(0u8.into());
    let (_endpoint, quic) = quic_to(&served, transport).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(20), quic.closed());
    assert!(closed.await.is_ok());
    eventually(|| served.metrics().contains("tidegate_edge_connections 0")).await;
}
