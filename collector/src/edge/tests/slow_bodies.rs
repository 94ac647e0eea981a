//! Heads whose bodies do not come: however many there are, complete requests find room.

use std::num::NonZeroU32;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Response;
use tidegate_event::Outcome;
use tokio::net::TcpStream;

use super::client::{Client, ask, events, eventually, get};
use crate::edge::fake::Served;
use crate::settings::Cidr;

const EVENT: &str = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;

/// Room for eight requests, of which two of one address and four in all may wait for their bodies.
async fn narrow() -> Served {
    Served::start_with(|settings| {
        settings.edge.in_flight_max = 8;
        settings.edge.bodies_per_address_max = NonZeroU32::new(2).unwrap();
        settings.edge.trusted_proxies = vec![Cidr {
            network: [127, 0, 0, 0].into(),
            prefix: 8,
        }];
    })
    .await
}

/// One HTTP/2 connection of a proxy.
struct Proxy(SendRequest<Bytes>);

impl Proxy {
    async fn to(served: &Served) -> Self {
        let stream = TcpStream::connect(served.address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// The head of a POST of this client.
    async fn head(&mut self, client: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let mut sender = self.0.clone().ready().await.unwrap();
        let request = http::Request::post("http://localhost/v1/events?writeKey=shop-key")
            .header("x-forwarded-for", client)
            .body(())
            .unwrap();
        sender.send_request(request, false).unwrap()
    }
}

fn told<B>(answer: &Response<B>) -> (u16, Option<&str>) {
    let retry_after = answer.headers().get("retry-after");
    let retry_after = retry_after.map(|value| value.to_str().unwrap());
    (answer.status().as_u16(), retry_after)
}

async fn awaited(served: &Served, bodies: usize) {
    let line = format!("tidegate_edge_bodies_awaited {bodies}\n");
    eventually(|| served.metrics().contains(&line)).await;
}

fn rejected(served: &Served, reason: &str, times: usize) {
    let line = format!("tidegate_edge_rejected_bodies_total{{reason=\"{reason}\"}} {times}\n");
    assert!(served.metrics().contains(&line), "{line}");
}

#[tokio::test]
async fn one_client_that_sends_heads_alone_stops_nobody() {
    let served = narrow().await;
    let mut proxy = Proxy::to(&served).await;
    let waiting = [
        proxy.head("203.0.113.1").await,
        proxy.head("203.0.113.1").await,
    ];
    awaited(&served, 2).await;
    for _ in 0..20 {
        let (answer, _body) = proxy.head("203.0.113.1").await;
        assert_eq!(told(&answer.await.unwrap()), (503, Some("1")));
    }
    rejected(&served, "address_awaited", 20);
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 200);
    assert_eq!(ask(served.address, &get("/healthz", &[])).await.status, 200);
    let other = proxy.head("203.0.113.2").await;
    awaited(&served, 3).await;
    for (answer, mut body) in waiting.into_iter().chain([other]) {
        body.send_data(Bytes::from_static(EVENT.as_bytes()), true)
            .unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    awaited(&served, 0).await;
    assert_eq!(served.outcomes.ended(Outcome::Overloaded), 20);
    assert_eq!(served.balance(), (24, 24));
}

#[tokio::test]
async fn many_clients_that_send_heads_alone_leave_half_of_the_room_to_complete_requests() {
    let served = narrow().await;
    let mut proxy = Proxy::to(&served).await;
    let mut waiting = Vec::new();
    for client in 1..=4 {
        waiting.push(proxy.head(&format!("203.0.113.{client}")).await);
    }
    awaited(&served, 4).await;
    let (answer, _body) = proxy.head("203.0.113.9").await;
    assert_eq!(told(&answer.await.unwrap()), (503, Some("1")));
    rejected(&served, "awaited", 1);
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 200);
    drop(waiting);
    awaited(&served, 0).await;
}

#[tokio::test]
async fn a_client_over_http1_that_stops_within_its_body_takes_one_of_its_places() {
    let served = Served::start_with(|settings| {
        settings.edge.bodies_per_address_max = NonZeroU32::MIN;
    })
    .await;
    let whole = events(EVENT);
    let (most, rest) = whole.split_at(whole.len() - 5);
    let mut slow = Client::to(served.address).await;
    slow.send(most).await;
    awaited(&served, 1).await;
    let mut second = Client::to(served.address).await;
    second.send(most).await;
    let refused = second.answer().await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(ask(served.address, &whole).await.status, 200, "complete");
    slow.send(rest).await;
    assert_eq!(slow.answer().await.status, 200);
    // The rest of what was refused is read away, so that connection goes on.
    second.send(rest).await;
    assert_eq!(second.ask(&whole).await.status, 200);
    assert_eq!(served.balance(), (4, 4));
}

#[tokio::test]
async fn bodies_that_stop_halfway_leave_half_of_the_memory_to_complete_requests() {
    let served = Served::start_with(|settings| {
        settings.edge.body_bytes_max = 50_000;
        settings.edge.buffered_bytes_max = 100_000;
    })
    .await;
    let begun = |bytes: usize| {
        let head = "POST /v1/events?writeKey=shop-key HTTP/1.1\r\nhost: x\r\ncontent-length: 49999\r\n\r\n";
        [head.as_bytes(), &vec![b' '; bytes]].concat()
    };
    let mut first = Client::to(served.address).await;
    first.send(&begun(40_000)).await;
    let held = "tidegate_edge_buffered_bytes 40000\n";
    eventually(|| served.metrics().contains(held)).await;
    let mut second = Client::to(served.address).await;
    second.send(&begun(20_000)).await;
    assert_eq!(second.answer().await.status, 503);
    rejected(&served, "no_room", 1);
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 200);
}

#[tokio::test]
async fn a_reload_changes_how_many_bodies_are_awaited() {
    let mut served = narrow().await;
    served.renew(|settings| settings.edge.bodies_per_address_max = NonZeroU32::MIN);
    let mut proxy = Proxy::to(&served).await;
    let _waiting = proxy.head("203.0.113.1").await;
    awaited(&served, 1).await;
    let (answer, _body) = proxy.head("203.0.113.1").await;
    assert_eq!(answer.await.unwrap().status(), 503);
}
