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
use super::secure_client::{ask_tls, config, connect, trusting_anybody};
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

#[tokio::test]
async fn a_proof_ends_with_its_handshake_and_reaches_no_request() {
    let served = Served::secure(|settings| {
        settings.edge.tls.acme.domains = vec!["t.example.com".to_owned()];
    })
    .await;
    let acme = served.tls.as_ref().unwrap().acme().unwrap();
    let address = served.secure.unwrap();
    let proving: &[u8] = b"acme-tls/1";
    let asking = |alpn: &[&[u8]], name| {
        let config = Arc::new(trusting_anybody(alpn));
        async move { connect(address, &config, name).await }
    };
    assert!(
        asking(&[proving], "t.example.com").await.is_err(),
        "none is due"
    );

    let answering = acme.challenges().begin();
    answering.prove("t.example.com", &[7; 32]).unwrap();
    let mut stream = asking(&[proving], "t.example.com").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(proving));
    let request = b"GET /healthz HTTP/1.1\r\nhost: t.example.com\r\n\r\n";
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));

    assert!(
        asking(&[proving, b"h2"], "t.example.com").await.is_err(),
        "RFC 8737, section 3"
    );
    assert!(
        asking(&[proving], "u.example.com").await.is_err(),
        "another name"
    );
    let stream = asking(&[b"h2"], "t.example.com").await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    assert_eq!(
        shown[0],
        served.certificate(),
        "who wants no proof gets none"
    );

    drop(answering);
    assert!(
        asking(&[proving], "t.example.com").await.is_err(),
        "no more"
    );
    assert!(
        !served
            .metrics()
            .contains("tidegate_edge_requests_by_version_total{version=\"1.1\"} 1")
    );
}
