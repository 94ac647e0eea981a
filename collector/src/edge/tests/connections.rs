//! Connections: keep-alive, HTTP/2, limits, hang-ups, shutdown.

use super::client::{Client, ask, events, eventually, get};
use crate::edge::fake::Served;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_event::Outcome;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const EVENT: &str = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;

async fn http2(
    served: &Served,
) -> (
    http2::SendRequest<Full<Bytes>>,
    JoinHandle<hyper::Result<()>>,
) {
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    (sender, tokio::spawn(connection))
}

fn http2_event() -> http::Request<Full<Bytes>> {
    http::Request::post("http://localhost/v1/events?writeKey=shop-key")
        .header("origin", "https://shop.example")
        .body(Full::new(Bytes::from_static(EVENT.as_bytes())))
        .unwrap()
}

#[tokio::test]
async fn a_connection_serves_many_requests_also_pipelined() {
    let served = Served::start().await;
    let mut client = Client::to(served.address).await;
    assert_eq!(client.ask(&events(EVENT)).await.status, 200);
    client.send(&events(EVENT).repeat(3)).await;
    for _ in 0..3 {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(served.balance(), (4, 4));
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge() {
    let served = Served::start().await;
    let (mut sender, connection) = http2(&served).await;
    for _ in 0..2 {
        let response = sender.send_request(http2_event()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(
            response.headers()["access-control-allow-origin"],
            "https://shop.example"
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"{\"success\":true"));
    }
    drop(sender);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn http2_sends_no_body_where_there_is_none() {
    let served = Served::start().await;
    let (mut sender, connection) = http2(&served).await;
    let mut ask = async |method: &str, path: &str, etag: Option<http::HeaderValue>| {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://localhost{path}"))
            .body(Full::new(Bytes::new()))
            .unwrap();
        if let Some(etag) = etag {
            request.headers_mut().insert("if-none-match", etag);
        }
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let over = body.is_end_stream();
        (head, over, body.collect().await.unwrap().to_bytes())
    };
    for path in ["/tag.js", "/healthz", "/v1/pixel.gif", "/nowhere"] {
        let (get, _, body) = ask("GET", path, None).await;
        let (head, over, none) = ask("HEAD", path, None).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(
            head.headers["content-length"],
            body.len().to_string(),
            "{path}"
        );
        assert!(!body.is_empty() && none.is_empty() && over, "{path}");
    }
    let (tag, ..) = ask("GET", "/tag.js", None).await;
    for method in ["GET", "HEAD"] {
        let (head, over, _) = ask(method, "/tag.js", Some(tag.headers["etag"].clone())).await;
        assert_eq!((head.status.as_u16(), over), (304, true), "{method}");
    }
    drop(sender);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_receipt_leaves_a_true_count() {
    let served = Served::start().await;
    served.core.set_durable(Ok(0));
    let mut client = Client::to(served.address).await;
    client.send(&events(EVENT)).await;
    eventually(|| !served.core.seen().is_empty()).await;
    drop(client);
    served.core.set_durable(Ok(1));
    eventually(|| served.outcomes.ended(Outcome::Accepted) == 1).await;
    assert_eq!(served.outcomes.ended(Outcome::Internal), 0);
    assert_eq!(served.balance(), (1, 1));
}

#[tokio::test]
async fn an_event_whose_client_gave_up_is_remembered_without_a_status() {
    let served = Served::start().await;
    served.core.set_durable(Ok(0));
    let (mut sender, connection) = http2(&served).await;
    let answer = tokio::spawn(sender.send_request(http2_event()));
    eventually(|| !served.core.seen().is_empty()).await;
    // The stream is reset.
    answer.abort();
    eventually(|| !served.recent.last(1, None).is_empty()).await;
    let unanswered = served.recent.last(1, None).remove(0);
    assert_eq!(
        (unanswered.outcome, unanswered.status),
        (Outcome::Accepted, None)
    );
    assert_eq!(
        unanswered.reason.as_deref(),
        Some("the client hung up before the answer")
    );
    drop(sender);
    connection.abort();
}

#[tokio::test]
async fn a_client_that_closed_its_sending_side_still_gets_its_answer() {
    let served = Served::start().await;
    let mut client = Client::to(served.address).await;
    client.send(&events(EVENT)).await;
    client.finish_sending().await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.is_closed_silently().await);
}

#[tokio::test]
async fn beyond_the_requests_in_work_clients_are_told_to_come_again() {
    let served = Served::start_with(|settings| settings.edge.in_flight_max = 1).await;
    served.core.set_durable(Ok(0));
    let mut first = Client::to(served.address).await;
    first.send(&events(EVENT)).await;
    eventually(|| !served.core.seen().is_empty()).await;
    let refused = ask(served.address, &events(EVENT)).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(served.outcomes.ended(Outcome::Overloaded), 1);
    served.core.set_durable(Ok(9));
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 200);
    assert_eq!(served.balance(), (3, 3));
}

#[tokio::test]
async fn who_sends_no_whole_request_in_time_is_cut_off() {
    let served = Served::start_with(|settings| settings.edge.header_timeout_ms = 30).await;
    let whole = events(EVENT);
    for sent in [
        &b""[..],
        b"P",
        b"POST /v1/ev",
        b"PRI * HTTP/2.0\r\n",
        &whole[..60],
    ] {
        let mut client = Client::to(served.address).await;
        client.send(sent).await;
        assert!(client.is_closed_silently().await, "{sent:?}");
    }
    assert_eq!(served.balance(), (0, 0));
}

#[tokio::test]
async fn headers_over_their_limit_are_refused() {
    let served = Served::start().await;
    let mut client = Client::to(served.address).await;
    // hyper looks at the limit between reads, so it is not exact.
    let long = format!("x-long: {}", "x".repeat(400_000));
    client.send_what_it_takes(&get("/healthz", &[&long])).await;
    assert_eq!(client.answer().await.status, 431);
    let counted = "tidegate_edge_connections_cut_total{reason=\"head_too_large\"} 1\n";
    eventually(|| served.metrics().contains(counted)).await;
}

#[tokio::test]
async fn more_headers_than_a_request_may_have_are_refused_over_every_version() {
    let served = Served::start_with(|settings| settings.edge.headers_max = 10).await;
    // Beside Host.
    let fitting = ["a: b"; 9];
    let fits = ask(served.address, &get("/healthz", &fitting)).await;
    assert_eq!(fits.status, 200);
    let one_more = ask(served.address, &get("/healthz", &["a: b"; 10])).await;
    assert_eq!(one_more.status, 431);
    let (mut sender, connection) = http2(&served).await;
    for (headers, status) in [(10, 200), (11, 431)] {
        let mut request = http::Request::get("http://localhost/healthz")
            .body(Full::new(Bytes::new()))
            .unwrap();
        for _ in 0..headers {
            let value = http::HeaderValue::from_static("b");
            request.headers_mut().append("a", value);
        }
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
    }
    drop(sender);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let served = Served::start_with(|settings| settings.edge.connections_max = 1).await;
    served.core.set_durable(Ok(0));
    let mut first = Client::to(served.address).await;
    first.send(&events(EVENT)).await;
    eventually(|| !served.core.seen().is_empty()).await;
    let mut second = Client::to(served.address).await;
    second.send(&get("/healthz", &[])).await;
    served.core.set_durable(Ok(1));
    assert_eq!(first.answer().await.status, 200);
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn resting_connections_make_room_for_a_client() {
    let served = Served::start_with(|settings| settings.edge.connections_max = 4).await;
    served.core.set_durable(Ok(0));
    let mut busy = Client::to(served.address).await;
    busy.send(&events(EVENT)).await;
    eventually(|| !served.core.seen().is_empty()).await;
    let mut resting = Vec::new();
    for _ in 0..3 {
        let mut client = Client::to(served.address).await;
        assert_eq!(client.ask(&get("/healthz", &[])).await.status, 200);
        resting.push(client);
    }
    let mut honest = Client::to(served.address).await;
    assert_eq!(honest.ask(&get("/healthz", &[])).await.status, 200);
    assert!(resting[0].is_closed_silently().await, "the longest");
    let counted = "tidegate_edge_connections_idle_total 1\n";
    assert!(served.metrics().contains(counted), "and no other");
    served.core.set_durable(Ok(1));
    assert_eq!(busy.answer().await.status, 200);
}

#[tokio::test]
async fn shutdown_answers_what_is_in_work_and_closes_the_rest() {
    let served = Served::start().await;
    let core = served.core.clone();
    core.set_durable(Ok(0));
    let address = served.address;
    let mut idle = Client::to(address).await;
    assert_eq!(idle.ask(&get("/healthz", &[])).await.status, 200);
    let mut busy = Client::to(address).await;
    busy.send(&events(EVENT)).await;
    eventually(|| !core.seen().is_empty()).await;
    let task = served.stop();
    assert!(idle.is_closed_silently().await);
    assert!(!task.is_finished());
    core.set_durable(Ok(1));
    assert_eq!(busy.answer().await.status, 200);
    task.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn requests_and_connections_are_counted() {
    let served = Served::start().await;
    let mut client = Client::to(served.address).await;
    client.ask(&events(EVENT)).await;
    client.ask(&events("{")).await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &served.registry).unwrap();
    for line in [
        "tidegate_received_events_total 2",
        "tidegate_events_total{outcome=\"accepted\"} 1",
        "tidegate_events_total{outcome=\"invalid\"} 1",
        "tidegate_events_total{outcome=\"internal\"} 0",
        "tidegate_edge_requests_total{status=\"200\"} 1",
        "tidegate_edge_requests_total{status=\"400\"} 1",
        "tidegate_edge_connections 1",
        "tidegate_edge_requests_in_flight 0",
        "tidegate_edge_rejected_bodies_total{reason=\"too_large\"} 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
