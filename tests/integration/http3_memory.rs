//! HTTP/3 clients that announce a frame of 2^40 bytes and send what the connection takes.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, Endpoint, SendStream};
use tidegate_tests::config::WEB_KEY;
use tidegate_tests::http3::Http3;
use tidegate_tests::patience::{patience, runtime};
use tidegate_tests::secure::trusting;
use tidegate_tests::{Config, Gateway, turn};
use tokio::time::timeout;

/// Of what one client tries to send.
const BYTES: usize = 96 << 20;
/// What all of them may add to the process.
const GROWTH_KIB: u64 = 48 << 10;
const H3_EXCESSIVE_LOAD: u64 = 0x107;

const CONTROL_AND_SETTINGS: &[u8] = &[0, 4, 0];
/// Followed by a length of 2^40.
const HEADERS: u8 = 1;
const UNKNOWN: u8 = 0x21;

fn endless(frame: u8) -> Vec<u8> {
    let mut bytes = vec![frame];
    bytes.extend((3 << 62 | 1_u64 << 40).to_be_bytes());
    bytes
}

/// Until the connection is closed or all is sent; says with which code it was.
async fn attack(gateway: &Gateway, on_control: bool, frame: u8) -> Option<u64> {
    let tls = trusting(&gateway.certificate(), &[b"h3"]);
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    endpoint.set_default_client_config(config);
    let address = gateway.addresses().https.unwrap();
    let quic = endpoint
        .connect(address, "localhost")
        .unwrap()
        .await
        .unwrap();
    let mut control = quic.open_uni().await.unwrap();
    control.write_all(CONTROL_AND_SETTINGS).await.unwrap();
    let (mut request, _answer) = quic.open_bi().await.unwrap();
    let stream = if on_control {
        &mut control
    } else {
        &mut request
    };
    stream.write_all(&endless(frame)).await.unwrap();
    pour(stream).await;
    match timeout(patience(), quic.closed()).await.ok()? {
        ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
        _ => None,
    }
}

async fn pour(stream: &mut SendStream) {
    let piece = vec![0; 64 << 10];
    let pouring = async {
        for _ in 0..BYTES / piece.len() {
            if stream.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    let _ = timeout(patience(), pouring).await;
}

#[test]
fn frames_without_end_do_not_grow_the_process() {
    let _turn = turn();
    let runtime = runtime();
    let mut gateway = Gateway::start(&Config::new().secure());
    let address = gateway.addresses().https.unwrap();
    let good = Http3::open(address, trusting(&gateway.certificate(), &[b"h3"]));
    let good = runtime.block_on(good).unwrap();
    let before_kib = gateway.process().memory_kib().unwrap();
    for (on_control, frame) in [(false, HEADERS), (false, UNKNOWN), (true, UNKNOWN)] {
        let code = runtime.block_on(attack(&gateway, on_control, frame));
        let after_kib = gateway.process().memory_kib().unwrap();
        assert!(
            after_kib < before_kib + GROWTH_KIB,
            "{frame:#x}: {before_kib} -> {after_kib} KiB"
        );
        assert_eq!(code, Some(H3_EXCESSIVE_LOAD), "{frame:#x}");
    }
    let path = format!("/v1/events?writeKey={WEB_KEY}");
    let event = Bytes::from_static(br#"{"type":"page","anonymousId":"good"}"#);
    let answer = runtime.block_on(good.post(&path, event)).unwrap();
    assert_eq!(answer.status, 200);
}
