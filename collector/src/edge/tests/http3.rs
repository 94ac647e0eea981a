//! HTTP/3 with a client of the same libraries; others, written by other people, are in
//! `tests/h3`, and a browser in `sdk-js/tests/browser`.

use std::time::Duration;

use bytes::Bytes;
use h3::error::{Code, StreamError};
use http::{Request, Version};
use http_body_util::Full;
use tidegate_event::Outcome;
use tokio::time::Instant;

use super::client::eventually;
use super::secure_client::{Http3, ask_tls};
use crate::edge::fake::Served;
use crate::edge::listener::GOAWAY_PATIENCE;

const EVENT: &str = r#"{"type":"track","event":"Seen"}"#;

fn post(length: Option<usize>) -> Request<()> {
    let mut request = Request::post("https://localhost/v1/events?writeKey=shop-key")
        .header("origin", "https://shop.example");
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    request.body(()).unwrap()
}

fn get(path: &str) -> Request<()> {
    let uri = format!("https://localhost{path}");
    Request::get(uri).body(()).unwrap()
}

#[tokio::test]
async fn events_pixels_and_the_tag_are_answered_as_over_any_other_version() {
    let served = Served::secure(|_| {}).await;
    let mut http3 = Http3::to(&served).await;
    let over_h3 = http3.ask(post(None), EVENT.as_bytes()).await;
    assert_eq!(over_h3.version(), Version::HTTP_3);
    let body = Full::new(Bytes::from_static(EVENT.as_bytes()));
    let over_h2 = ask_tls(&served, &[b"h2"], post(None).map(|()| body)).await;
    assert_eq!(over_h3.status(), over_h2.status());
    assert_eq!(over_h3.body(), over_h2.body());
    for (name, value) in over_h2.headers() {
        let same = &over_h3.headers()[name];
        match name.as_str() {
            "date" => assert_eq!(same.len(), value.len()),
            "set-cookie" => {
                let cookie = same.to_str().unwrap();
                assert!(cookie.starts_with("__Host-tg_vid="), "{cookie}");
                assert!(cookie.ends_with("; Secure; SameSite=Lax"), "{cookie}");
            }
            _ => assert_eq!(same, value, "{name}"),
        }
    }
    assert_eq!(over_h3.headers().len(), over_h2.headers().len());

    let pixel = http3
        .ask(get("/v1/pixel.gif?writeKey=shop-key&event=Seen"), b"")
        .await;
    assert_eq!((pixel.status().as_u16(), pixel.body().len()), (200, 43));
    let tag = http3.ask(get("/tag.js"), b"").await;
    let length: usize = tag.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(length, tag.body().len());
    let mut head = get("/tag.js");
    *head.method_mut() = http::Method::HEAD;
    let head = http3.ask(head, b"").await;
    assert_eq!(
        head.headers()["content-length"],
        length.to_string().as_str()
    );
    assert!(head.body().is_empty());
    assert_eq!(served.balance(), (3, 3));
    assert!(
        served
            .metrics()
            .contains("tidegate_edge_requests_by_version_total{version=\"3\"} 4")
    );
}

#[tokio::test]
async fn bodies_are_held_to_their_limit_and_to_what_they_announce() {
    let served = Served::secure(|settings| settings.edge.body_bytes_max = 1_000).await;
    let mut http3 = Http3::to(&served).await;
    let large = vec![b' '; 5_000];
    assert_eq!(http3.ask(post(None), &large).await.status(), 413);
    assert_eq!(http3.ask(post(Some(5_000)), b"").await.status(), 413);
    for announced in [EVENT.len() - 1, EVENT.len() + 1] {
        let answer = http3.try_ask(post(Some(announced)), EVENT.as_bytes()).await;
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 400));
    }
    let exact = http3.ask(post(Some(EVENT.len())), EVENT.as_bytes()).await;
    assert_eq!(exact.status(), 200);
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 1);
}

#[tokio::test]
async fn headers_of_a_connection_have_no_place_in_a_stream() {
    let served = Served::secure(|_| {}).await;
    let mut http3 = Http3::to(&served).await;
    for (name, value) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("content-length", "+5"),
    ] {
        let mut request = post(None);
        let value = value.parse().unwrap();
        request.headers_mut().insert(name, value);
        assert!(http3.try_ask(request, b"").await.is_err(), "{name}");
    }
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 0);
    assert_eq!(http3.ask(get("/healthz"), b"").await.status(), 200);
}

#[tokio::test]
async fn headers_over_their_limit_are_refused() {
    let served = Served::secure(|settings| settings.edge.header_bytes_max = 8_192).await;
    let mut http3 = Http3::to(&served).await;
    let mut request = get("/healthz");
    let long = "x".repeat(20_000).parse().unwrap();
    request.headers_mut().insert("x-long", long);
    let answer = http3.try_ask(request, b"").await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 431));
}

#[tokio::test]
async fn a_client_that_moves_goes_on() {
    let served = Served::secure(|_| {}).await;
    let mut http3 = Http3::to(&served).await;
    assert_eq!(http3.ask(post(None), EVENT.as_bytes()).await.status(), 200);
    for _ in 0..3 {
        http3.move_elsewhere();
        assert_eq!(http3.ask(post(None), EVENT.as_bytes()).await.status(), 200);
    }
    assert_eq!(served.balance(), (4, 4));
    assert!(
        served
            .metrics()
            .contains("tidegate_edge_connections_opened_total 1")
    );
}

#[tokio::test]
async fn under_load_a_client_proves_its_address_first() {
    let served = Served::secure(|settings| settings.edge.h3.retry_handshakes = 0).await;
    let mut http3 = Http3::to(&served).await;
    assert_eq!(http3.ask(get("/healthz"), b"").await.status(), 200);
    assert!(served.metrics().contains("tidegate_quic_retries_total 1"));
    let without = Served::secure(|_| {}).await;
    Http3::to(&without).await;
    assert!(without.metrics().contains("tidegate_quic_retries_total 0"));
}

#[tokio::test]
async fn beyond_the_places_clients_are_refused_and_come_in_later() {
    let served = Served::secure(|settings| settings.edge.connections_max = 1).await;
    let first = Http3::to(&served).await;
    assert!(Http3::try_to(&served).await.is_err());
    assert!(served.metrics().contains("tidegate_quic_refused_total 1"));
    first.quic.close(0u32.into(), b"");
    eventually(|| served.metrics().contains("tidegate_edge_connections 0")).await;
    let mut third = Http3::to(&served).await;
    assert_eq!(third.ask(get("/healthz"), b"").await.status(), 200);
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_whatever_it_sends() {
    let served = Served::secure(|settings| settings.edge.h3.idle_timeout_ms = 150).await;
    let mut http3 = Http3::to(&served).await;
    assert_eq!(http3.ask(get("/healthz"), b"").await.status(), 200);
    let closed = tokio::time::timeout(Duration::from_secs(20), http3.quic.closed());
    assert!(closed.await.is_ok());
    eventually(|| served.metrics().contains("tidegate_edge_connections 0")).await;
}

#[tokio::test]
async fn a_request_that_outlasts_the_shutdown_is_cut_off() {
    let served = Served::secure(|settings| settings.edge.body_timeout_ms = 100).await;
    let core = served.core.clone();
    core.set_durable(Ok(0));
    let mut busy = Http3::to(&served).await;
    let asking = tokio::spawn(async move { busy.try_ask(post(None), EVENT.as_bytes()).await });
    eventually(|| !core.seen().is_empty()).await;
    served.stop().await.unwrap();
    assert!(asking.await.unwrap().is_err());
}

#[tokio::test]
async fn shutdown_says_goaway_and_answers_what_is_in_work() {
    let served = Served::secure(|_| {}).await;
    let core = served.core.clone();
    core.set_durable(Ok(0));
    let mut idle = Http3::to(&served).await;
    assert_eq!(idle.ask(get("/healthz"), b"").await.status(), 200);
    let mut busy = Http3::to(&served).await;
    let asking = tokio::spawn(async move {
        let answer = busy.ask(post(None), EVENT.as_bytes()).await;
        (answer, busy)
    });
    eventually(|| !core.seen().is_empty()).await;
    let task = served.stop();
    let ended = idle.driver.await.unwrap();
    assert!(ended.is_h3_no_error(), "{ended}");
    assert!(!task.is_finished());
    core.set_durable(Ok(1));
    let (answer, busy) = asking.await.unwrap();
    assert_eq!(answer.status(), 200);
    let ended = busy.driver.await.unwrap();
    assert!(ended.is_h3_no_error(), "{ended}");
    task.await.unwrap();
}

#[tokio::test]
async fn a_connection_ends_with_goaway_after_its_last_request() {
    let served = Served::secure(|s| s.edge.requests_per_connection_max = 2).await;
    let mut hearing = Http3::to(&served).await;
    let mut deaf = Http3::to(&served).await;
    deaf.hold.notify_one();
    for client in [&mut hearing, &mut deaf] {
        for _ in 0..2 {
            assert_eq!(client.ask(get("/healthz"), b"").await.status(), 200);
        }
        assert!(client.try_ask(get("/healthz"), b"").await.is_err());
    }
    let ended = hearing.driver.await.unwrap();
    assert!(ended.is_h3_no_error(), "{ended}");
    for counted in [
        "tidegate_edge_requests_by_version_total{version=\"3\"} 4\n",
        "tidegate_edge_connections_cut_total{reason=\"requests\"} 2\n",
    ] {
        assert!(served.metrics().contains(counted), "{counted}");
    }
}

/// Asks after a GOAWAY that its client has not heard of; false where that took so long that the
/// connection may have ended meanwhile.
async fn cross_the_goaway() -> bool {
    let served = Served::secure(|_| {}).await;
    let mut hearing = Http3::to(&served).await;
    assert_eq!(hearing.ask(get("/healthz"), b"").await.status(), 200);
    let mut deaf = Http3::to(&served).await;
    assert_eq!(deaf.ask(get("/healthz"), b"").await.status(), 200);
    // Not polled any more, but kept: a connection ends with its driver.
    deaf.hold.notify_one();
    let stopped = Instant::now();
    let task = served.stop();
    while hearing.try_ask(get("/healthz"), b"").await.is_ok() {}
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(deaf.try_ask(get("/healthz"), b"").await);
    }
    let in_time = stopped.elapsed() < GOAWAY_PATIENCE;
    if in_time {
        // The first one after the last is still taken.
        assert_eq!(answers.remove(0).unwrap().status(), 200);
        for answer in answers {
            let rejected = answer.unwrap_err();
            assert!(
                matches!(&rejected, StreamError::RemoteTerminate { code, .. }
                    if *code == Code::H3_REQUEST_REJECTED),
                "{rejected}"
            );
        }
    }
    drop((hearing, deaf));
    task.await.unwrap();
    in_time
}

#[tokio::test]
async fn requests_that_cross_the_goaway_are_rejected_by_name() {
    for _ in 0..20 {
        if cross_the_goaway().await {
            return;
        }
    }
    panic!("this machine was never fast enough");
}
