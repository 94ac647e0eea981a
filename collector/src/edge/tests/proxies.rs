//! Life behind proxies: the PROXY protocol, and whose word is believed.

use super::client::{Client, ask, eventually, get, post};
use super::secure_client::{config, connect};
use crate::edge::fake::Served;
use crate::settings::{Cidr, ProxyProtocol, Settings};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const EVENT: &str = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;
const PROXY: &[u8] = b"PROXY TCP4 192.0.2.77 10.0.0.1 4096 443\r\n";

fn trusting(network: IpAddr) -> impl Fn(&mut Settings) {
    move |settings| {
        let prefix = 32;
        settings.edge.trusted_proxies = vec![Cidr { network, prefix }];
    }
}

fn event(headers: &[&str]) -> Vec<u8> {
    post("/v1/events?writeKey=shop-key", headers, EVENT)
}

fn last_ip(served: &Served) -> String {
    served.core.seen().pop().unwrap().ip.unwrap()
}

#[tokio::test]
async fn a_proxy_header_names_the_client_of_the_whole_connection() {
    let served = Served::start_with(|settings| settings.edge.proxy_protocol.http = true).await;
    let mut client = Client::to(served.address).await;
    client.send(PROXY).await;
    for _ in 0..2 {
        assert_eq!(client.ask(&event(&[])).await.status, 200);
        assert_eq!(last_ip(&served), "192.0.2.0");
    }
    let mut without = Client::to(served.address).await;
    without.send(&event(&[])).await;
    assert!(without.is_closed_silently().await);
    let metrics = served.metrics();
    assert!(metrics.contains("tidegate_edge_proxy_headers_total{result=\"ok\"} 1"));
    assert!(metrics.contains("tidegate_edge_proxy_headers_total{result=\"malformed\"} 1"));
}

#[tokio::test]
async fn a_proxy_header_is_taken_of_trusted_peers_only_where_there_are_any() {
    let stranger = trusting(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    let served = Served::start_with(|settings| {
        settings.edge.proxy_protocol.http = true;
        stranger(settings);
    })
    .await;
    let mut client = Client::to(served.address).await;
    client.send(PROXY).await;
    assert!(client.is_closed_silently().await);
    eventually(|| {
        let line = "tidegate_edge_proxy_headers_total{result=\"untrusted\"} 1";
        served.metrics().contains(line)
    })
    .await;
}

#[tokio::test]
async fn a_proxy_header_comes_before_the_handshake() {
    let served = Served::secure(|settings| {
        settings.edge.proxy_protocol = ProxyProtocol {
            http: false,
            https: true,
        };
    })
    .await;
    let config = Arc::new(config(served.certificate(), &[b"http/1.1"]));
    assert!(
        connect(served.secure.unwrap(), &config, "localhost")
            .await
            .is_err()
    );
    let mut stream = tokio::net::TcpStream::connect(served.secure.unwrap())
        .await
        .unwrap();
    stream.write_all(PROXY).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(config)
        .connect(name, stream)
        .await
        .unwrap();
    stream
        .write_all(&event(&["connection: close"]))
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // What carries TCP only does not carry HTTP/3.
    assert!(!answer.contains("alt-svc"), "{answer}");
    assert_eq!(last_ip(&served), "192.0.2.0");
    assert_eq!(ask(served.address, &get("/healthz", &[])).await.status, 200);
}

#[tokio::test]
async fn a_forged_header_of_an_untrusted_peer_changes_nothing() {
    const FORGED: &[&str] = &[
        "x-forwarded-for: 192.0.2.77",
        "forwarded: for=192.0.2.77;proto=https;host=evil.example",
        "cf-connecting-ip: 192.0.2.77",
        "true-client-ip: 192.0.2.77",
        "x-real-ip: 192.0.2.77",
        "x-forwarded-proto: https",
        "x-forwarded-host: evil.example",
    ];
    let body = r#"{"type":"track","event":"Seen"}"#;
    let request = |headers| post("/v1/events?writeKey=shop-key", headers, body);
    for name in ["x-forwarded-for", "forwarded", "cf-connecting-ip"] {
        let stranger = trusting(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
        let served = Served::start_with(|settings| {
            stranger(settings);
            settings.edge.client_ip_header = name.parse().unwrap();
        })
        .await;
        let honest = ask(served.address, &request(&[])).await;
        let honest_ip = last_ip(&served);
        let forged = ask(served.address, &request(FORGED)).await;
        assert_eq!(last_ip(&served), honest_ip);
        assert_eq!(honest_ip, "127.0.0.0");
        let attributes = |answer: &super::client::Answer| {
            let cookie = answer.header("set-cookie").unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            (name.to_owned(), rest.split_once(';').unwrap().1.to_owned())
        };
        assert_eq!(attributes(&forged), attributes(&honest));
    }
}

#[tokio::test]
async fn a_trusted_proxy_that_ended_tls_makes_the_cookie_secure() {
    let served = Served::start_with(trusting(IpAddr::V4(Ipv4Addr::LOCALHOST))).await;
    let body = r#"{"type":"track","event":"Seen"}"#;
    let headers = &["x-forwarded-for: 192.0.2.77", "x-forwarded-proto: https"];
    let request = post("/v1/events?writeKey=shop-key", headers, body);
    let answer = ask(served.address, &request).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-tg_vid="), "{cookie}");
    assert!(cookie.contains("; Secure"), "{cookie}");
    assert_eq!(last_ip(&served), "192.0.2.0");
}
