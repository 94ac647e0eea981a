//! TLS over TCP: versions, names, renewal, resumption, and clients that never shake hands.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::Full;
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Client, eventually};
use super::secure_client::{ask_tls, config, connect};
use crate::edge::fake::{Served, write_pair};

fn health() -> Request<Full<Bytes>> {
    Request::get("https://localhost/healthz")
        .header("host", "localhost")
        .body(Full::default())
        .unwrap()
}

#[tokio::test]
async fn alpn_chooses_between_the_versions_and_each_hears_of_http3() {
    let served = Served::secure(|_| {}).await;
    let port = served.secure.unwrap().port();
    for (alpn, version) in [
        (&[&b"h2"[..], b"http/1.1"][..], Version::HTTP_2),
        (&[b"http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let answer = ask_tls(&served, alpn, health()).await;
        assert_eq!((answer.version(), answer.status().as_u16()), (version, 200));
        let alt_svc = format!("h3=\":{port}\"; ma=86400");
        assert_eq!(answer.headers()["alt-svc"], alt_svc.as_str());
    }
    let plain = super::client::ask(served.address, &super::client::get("/healthz", &[])).await;
    assert_eq!(plain.header("alt-svc"), None, "not over cleartext");
    assert!(
        served
            .metrics()
            .contains("tidegate_tls_handshakes_total{result=\"ok\"} 3")
    );
}

#[tokio::test]
async fn without_http3_nobody_hears_of_it() {
    let served = Served::secure(|settings| settings.edge.http3 = false).await;
    let answer = ask_tls(&served, &[b"h2"], health()).await;
    assert!(!answer.headers().contains_key("alt-svc"));
}

#[tokio::test]
async fn a_client_that_comes_back_resumes() {
    let served = Served::secure(|_| {}).await;
    let config = Arc::new(config(served.certificate(), &[b"http/1.1"]));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let address = served.secure.unwrap();
        let mut stream = connect(address, &config, "localhost").await.unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        kinds.push(stream.get_ref().1.handshake_kind());
    }
    let expected = [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_while_old_ones_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_pair(dir.path(), "own", "localhost");
    let pair = files.clone();
    let served = Served::secure(move |settings| settings.edge.tls.pair = Some(pair)).await;
    let trusting = |files: &crate::settings::CertificateFiles| {
        let own = CertificateDer::from_pem_file(&files.cert).unwrap();
        Arc::new(config(own, &[b"http/1.1"]))
    };
    let address = served.secure.unwrap();
    let old = trusting(&files);
    let mut stream = connect(address, &old, "localhost").await.unwrap();

    write_pair(dir.path(), "own", "localhost");
    assert!(
        served
            .tls
            .as_ref()
            .unwrap()
            .certificates()
            .reload()
            .unwrap()
    );

    assert!(
        connect(address, &trusting(&files), "localhost")
            .await
            .is_ok()
    );
    let distrusting = Arc::new(config(old_certificate(&stream), &[b"http/1.1"]));
    assert!(connect(address, &distrusting, "localhost").await.is_err());
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

fn old_certificate(
    stream: &tokio_rustls::client::TlsStream<tokio::net::TcpStream>,
) -> CertificateDer<'static> {
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}

#[tokio::test]
async fn who_does_not_shake_hands_in_time_is_cut_off() {
    let served = Served::secure(|settings| settings.edge.tls.handshake_timeout_ms = 30).await;
    let mut silent = Client::to(served.secure.unwrap()).await;
    assert!(silent.is_closed_silently().await);
    let mut confused = Client::to(served.secure.unwrap()).await;
    confused
        .send(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    confused.is_closed_silently().await;
    eventually(|| {
        let metrics = served.metrics();
        metrics.contains("tidegate_tls_handshakes_total{result=\"timeout\"} 1")
            && metrics.contains("tidegate_tls_handshakes_total{result=\"failed\"} 1")
            && metrics.contains("tidegate_edge_connections 0")
    })
    .await;
}
