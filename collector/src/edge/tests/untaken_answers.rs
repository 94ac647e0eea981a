//! Clients that ask for long answers and do not take them: how long they may.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{Client, ask, events, eventually, get};
use super::secure_client::quic_to;
use super::slow_answers::{many_results, metric, post};
use crate::edge::fake::Served;

const CUT: &str = "tidegate_edge_answers_cut_total";

/// A client whose streams take so many bytes of an answer ahead of what is read.
pub(super) async fn connected(served: &Served, window: u32) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .initial_connection_window_size(1 << 20)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// The attack that was observed: no stream takes a byte, and the connection goes on.
#[tokio::test]
async fn http2_answers_that_are_not_taken_end_in_time() {
    const STREAMS: usize = 50;
    let served = Served::start_with(|settings| settings.edge.body_timeout_ms = 500).await;
    let sender = connected(&served, 0).await;
    let mut bodies = Vec::new();
    for _ in 0..STREAMS {
        let answer = post(&sender).await.await.unwrap();
        assert_eq!(answer.status(), 400);
        bodies.push(answer.into_body());
    }
    let honest = ask(served.address, &get("/healthz", &[])).await;
    assert_eq!(honest.status, 200);
    for body in &mut bodies {
        let ended = timeout(Duration::from_secs(20), body.data()).await;
        let ended = ended.expect("it ends").unwrap().unwrap_err();
        assert_eq!(ended.reason(), Some(h2::Reason::CANCEL));
    }
    assert_eq!(metric(&served, CUT), STREAMS);
    // Its connection is as good as before.
    assert_eq!(post(&sender).await.await.unwrap().status(), 400);
}

/// All but the last bytes are taken.
#[tokio::test]
async fn http2_answers_that_are_taken_in_part_end_in_time() {
    let served = Served::start_with(|settings| settings.edge.body_timeout_ms = 500).await;
    let whole = ask(served.address, &events(many_results()))
        .await
        .body
        .len();
    let sender = connected(&served, u32::try_from(whole).unwrap() - 10).await;
    let mut body = post(&sender).await.await.unwrap().into_body();
    let mut read = 0;
    let ended = loop {
        let data = timeout(Duration::from_secs(20), body.data()).await;
        match data.expect("it ends").unwrap() {
            Ok(data) => read += data.len(),
            Err(ended) => break ended,
        }
    };
    assert_eq!(
        (ended.reason(), read),
        (Some(h2::Reason::CANCEL), whole - 10)
    );
    assert_eq!(metric(&served, CUT), 1);
}

#[tokio::test]
async fn http1_answers_that_are_not_taken_end_their_connection() {
    let served = Served::start_with(|settings| settings.edge.body_timeout_ms = 300).await;
    let mut client = Client::to(served.address).await;
    let requests = events(many_results()).repeat(100);
    let sending = tokio::spawn(async move {
        client.send_what_it_takes(&requests).await;
        client
    });
    eventually(|| metric(&served, CUT) == 1).await;
    eventually(|| metric(&served, "tidegate_edge_connections") == 0).await;
    drop(sending.await);
}

/// Two answers do not fit into what QUIC itself keeps for a connection.
#[tokio::test]
async fn http3_answers_that_are_not_taken_end_in_time() {
    let served = Served::secure(|settings| settings.edge.body_timeout_ms = 500).await;
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(2_000_u32.into());
    let (_endpoint, quic) = quic_to(&served, transport).await.unwrap();
    let quic = h3_quinn::Connection::new(quic);
    let (mut connection, mut requests) = h3::client::new(quic).await.unwrap();
    let driver = tokio::spawn(async move {
        std::future::poll_fn(|context| connection.poll_close(context)).await
    });
    let mut streams = Vec::new();
    for _ in 0..4 {
        let request = http::Request::post("https://localhost/v1/events?writeKey=shop-key");
        let mut stream = requests
            .send_request(request.body(()).unwrap())
            .await
            .unwrap();
        stream.send_data(many_results()).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 400);
        streams.push(stream);
    }
    eventually(|| metric(&served, CUT) == 3).await;
    eventually(|| metric(&served, "tidegate_edge_unsent_bytes") == 0).await;
    driver.abort();
}

#[tokio::test]
async fn answers_that_are_taken_bit_by_bit_are_whole() {
    let served = Served::start().await;
    let over_h1 = ask(served.address, &events(many_results())).await;
    assert_eq!(over_h1.outcomes().len(), 2_500);
    for window in [1, 100, 1 << 20] {
        let sender = connected(&served, window).await;
        let mut body = match window {
            // A byte at a time would take all day.
            1 => {
                let mut sender = sender.clone().ready().await.unwrap();
                let request = http::Request::get("http://localhost/healthz");
                let request = request.body(()).unwrap();
                let (answer, _) = sender.send_request(request, true).unwrap();
                answer.await.unwrap().into_body()
            }
            _ => post(&sender).await.await.unwrap().into_body(),
        };
        let mut read = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            read.extend_from_slice(&data);
        }
        if window > 1 {
            assert_eq!(read, over_h1.body, "{window}");
        }
    }
    assert_eq!(metric(&served, CUT), 0);
}
