//! The end of a gateway: readiness goes first, requests in work are answered, and what the deadline
//! does not leave time for is told.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;
use serde_json::json;
use tidegate_tests::config::WEB_KEY;
use tidegate_tests::patience::{eventually, patience};
use tidegate_tests::records::{assert_holds, journal, message_ids};
use tidegate_tests::{Config, Gateway, turn};

/// A request of which the last byte is not sent yet.
struct Slow {
    stream: TcpStream,
    last: [u8; 1],
}

impl Slow {
    fn begin(address: SocketAddr, message_id: &str) -> Self {
        let body =
            json!({"type": "page", "anonymousId": "slow", "messageId": message_id}).to_string();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        let (most, last) = body.as_bytes().split_at(body.len() - 1);
        write!(
            stream,
            "POST /v1/events?writeKey={WEB_KEY} HTTP/1.1\r\nhost: x\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(most).unwrap();
        let last = [last[0]];
        Self { stream, last }
    }

    fn finish(mut self) -> String {
        self.stream.write_all(&self.last).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn in_work(gateway: &Gateway, requests: f64) {
    eventually("the request in work", || {
        (gateway.metric("tidegate_edge_requests_in_flight", "") == Some(requests)).then_some(())
    });
}

fn refuses_connections(address: SocketAddr) {
    eventually("the end of the listener", || {
        TcpStream::connect(address).is_err().then_some(())
    });
}

#[test]
fn readiness_goes_first_and_a_second_signal_skips_the_delay() {
    let _turn = turn();
    let mut gateway = Gateway::start(&Config::new().set("drain", "readiness_delay", "\"10m\""));
    assert!(gateway.admin("/readyz").status.is_success());
    assert_eq!(gateway.get("/healthz").status.as_u16(), 200);
    gateway.process().signal(Signal::TERM);
    eventually("readiness to go", || {
        (gateway.admin("/readyz").status.as_u16() == 503).then_some(())
    });
    let told = gateway.get("/healthz");
    assert_eq!(told.status.as_u16(), 503, "the edge's own probe");
    assert!(told.text().contains("draining"));
    assert!(gateway.admin("/readyz").text().contains("about to stop"));
    let page = json!({"type": "page", "anonymousId": "a-1"});
    assert_eq!(gateway.post(&page).outcomes(), ["accepted"]);
    let status = gateway.terminate();
    assert!(status.success(), "{status}:\n{}", gateway.log());
}

#[test]
fn a_slow_request_in_work_is_answered_and_kept() {
    let _turn = turn();
    let mut gateway = Gateway::start(&Config::new());
    let address = gateway.addresses().http;
    let slow = Slow::begin(address, "slow-1");
    in_work(&gateway, 1.0);
    gateway.process().signal(Signal::TERM);
    refuses_connections(address);
    assert!(gateway.admin("/healthz").status.is_success());
    assert_eq!(gateway.admin("/readyz").status.as_u16(), 503);
    in_work(&gateway, 1.0);
    let answer = slow.finish();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let status = gateway.process().wait();
    assert!(status.success(), "{status}:\n{}", gateway.log());
    let (records, acked) = (journal(&gateway), ["slow-1".to_owned()]);
    assert_holds("the journal", &message_ids(&records), &acked, true);
}

#[test]
fn what_outlasts_the_deadline_is_cut_off_and_told() {
    let _turn = turn();
    let mut gateway = Gateway::start(&Config::new().set("drain", "deadline", "\"6s\""));
    let never = Slow::begin(gateway.addresses().http, "never-1");
    in_work(&gateway, 1.0);
    let status = gateway.terminate();
    assert!(status.success(), "{status}:\n{}", gateway.log());
    let log = gateway.log();
    let told = log
        .lines()
        .find(|line| line.contains("what is left goes on"));
    let told = told.unwrap_or_else(|| unreachable!("{log}"));
    assert!(told.contains("\"connections\":1"), "{told}");
    assert!(told.contains("\"unwritten_state\":false"), "{told}");
    drop(never);
}
