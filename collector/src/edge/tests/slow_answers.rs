//! Clients that ask for large answers and do not read them.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use tokio::net::TcpStream;

use super::client::{ask, events, eventually};
use super::secure_client::Http3;
use crate::edge::fake::Served;

/// 5 KB that are answered by many times as much: none of it is an event.
pub(super) fn many_results() -> Bytes {
    format!("{{\"batch\":[{}]}}", vec!["1"; 2_500].join(",")).into()
}

async fn connected(served: &Served) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(served.address).await.unwrap();
    // The default window: 64 KiB for all streams together.
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(super) async fn post(sender: &SendRequest<Bytes>) -> ResponseFuture {
    let mut sender = sender.clone().ready().await.unwrap();
    let request = http::Request::post("http://localhost/v1/events?writeKey=shop-key");
    let request = request.body(()).unwrap();
    let (answer, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(many_results(), true).unwrap();
    answer
}

pub(super) fn metric(served: &Served, name: &str) -> usize {
    let metrics = served.metrics();
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded() {
    const BYTES_MAX: usize = 1 << 20;
    let served = Served::secure(|settings| {
        settings.edge.body_bytes_max = 256 << 10;
        settings.edge.buffered_bytes_max = 2 * BYTES_MAX;
    })
    .await;
    let sender = connected(&served).await;
    let mut unread = Vec::new();
    let mut withheld = 0;
    for _ in 0..40 {
        let answer = post(&sender).await.await.unwrap();
        withheld += usize::from(answer.status() == 503);
        unread.push(answer);
        assert!(metric(&served, "tidegate_edge_unsent_bytes") <= BYTES_MAX);
    }
    assert!(withheld > 0);
    let counted = metric(
        &served,
        "tidegate_edge_answers_withheld_total{reason=\"no_room\"}",
    );
    assert_eq!(counted, withheld);
    let small = events(r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#);
    assert_eq!(ask(served.address, &small).await.status, 200);
    drop((unread, sender));
    eventually(|| metric(&served, "tidegate_edge_unsent_bytes") == 0).await;
}

#[tokio::test]
async fn answers_that_are_read_are_let_go_over_every_version() {
    let served = Served::secure(|_| {}).await;
    let over_h1 = ask(served.address, &events(many_results())).await;
    assert_eq!(over_h1.outcomes().len(), 2_500);
    let sender = connected(&served).await;
    let mut body = post(&sender).await.await.unwrap().into_body();
    let mut read = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        read += data.len();
    }
    assert_eq!(read, over_h1.body.len());
    let request = http::Request::post("https://localhost/v1/events?writeKey=shop-key");
    let mut http3 = Http3::to(&served).await;
    let over_h3 = http3.ask(request.body(()).unwrap(), &many_results()).await;
    assert_eq!(over_h3.body(), &over_h1.body);
    eventually(|| metric(&served, "tidegate_edge_unsent_bytes") == 0).await;
}
