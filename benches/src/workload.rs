//! What the benches send: 600-byte JSON events of 1,000 visitors with 64 user agents and 1,000
//! addresses, page views and a shop's track events, as HTTP/1.1 requests ready to write.
//!
//! Requests are made once; before each use only the message id is written over, so that the
//! generator costs little beside the server it measures.

use std::io::{Error, ErrorKind, Result};
use std::net::Ipv4Addr;

use bytes::Bytes;

/// The one source of the benches.
pub const SOURCE: &str = "shop";
/// Its write key.
pub const WRITE_KEY: &str = "bench-write-key";
/// Its cookie, with TLS and without.
pub const COOKIE: &str = "tg_vid";
/// Bytes of one event's JSON.
pub const EVENT_BYTES: usize = 600;
/// Different requests prepared; a multiple of visitors, addresses and connections.
pub const PREPARED: usize = 8_000;
/// Digits of the part of a message id that changes.
const SERIAL_DIGITS: usize = 16;
/// Stands where the serial goes; occurs nowhere else.
const SERIAL: &str = "################";
/// Makes every event exactly [`EVENT_BYTES`] long.
const PADDING: &str = "@padding@";

/// How large a workload is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Visitors.
    pub visitors: usize,
    /// User agents.
    pub user_agents: usize,
    /// Client addresses.
    pub addresses: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            visitors: 1_000,
            user_agents: 64,
            addresses: 1_000,
        }
    }
}

/// Bytes to send, with the places of their message ids.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    serials: Vec<usize>,
    /// The head as other versions than HTTP/1.1 want it; made when it is first asked for.
    head: Option<http::Request<()>>,
}

impl Request {
    fn of(text: String) -> Self {
        Self {
            serials: text.match_indices(SERIAL).map(|(found, _)| found).collect(),
            bytes: text.into_bytes(),
            head: None,
        }
    }

    /// The bytes, with fresh message ids: `serial` counts up by the number of events.
    pub fn stamped(&mut self, serial: &mut u64) -> &[u8] {
        for at in &self.serials {
            let mut rest = *serial;
            *serial += 1;
            for digit in self.bytes[*at..*at + SERIAL_DIGITS].iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
                rest /= 10;
            }
        }
        &self.bytes
    }

    /// Head and body for HTTP/2 and HTTP/3, with fresh message ids as by [`Self::stamped`].
    ///
    /// # Errors
    /// `InvalidInput` where it has no head.
    pub fn message(
        &mut self,
        scheme: &str,
        serial: &mut u64,
    ) -> Result<(http::Request<()>, Bytes)> {
        self.stamped(serial);
        let text = String::from_utf8_lossy(&self.bytes);
        let (head, body) = text.split_once("\r\n\r\n").ok_or(ErrorKind::InvalidInput)?;
        let body = Bytes::copy_from_slice(body.as_bytes());
        let head = match &self.head {
            Some(head) => head.clone(),
            None => self.head.insert(parsed(head, scheme)?).clone(),
        };
        Ok((head, body))
    }

    /// Events in it.
    #[must_use]
    pub fn events(&self) -> usize {
        self.serials.len()
    }
}

/// One request an event; `requests` of them, visitor after visitor.
#[must_use]
pub fn single(shape: Shape, requests: usize) -> Vec<Request> {
    (0..requests)
        .map(|at| post(shape, at, &event(at % shape.visitors, at)))
        .collect()
}

/// `requests` requests with `events` events each, as an SDK's queue sends them: all of one visitor.
#[must_use]
pub fn batches(shape: Shape, requests: usize, events: usize) -> Vec<Request> {
    (0..requests)
        .map(|at| {
            let visitor = at % shape.visitors;
            let list: Vec<String> = (0..events).map(|n| event(visitor, at + n)).collect();
            post(
                shape,
                at,
                &format!(
                    "{{\"writeKey\":\"{WRITE_KEY}\",\"batch\":[{}]}}",
                    list.join(",")
                ),
            )
        })
        .collect()
}

/// The bodies of [`single`] without their HTTP heads.
#[must_use]
pub fn bodies(shape: Shape, count: usize) -> Vec<Request> {
    (0..count)
        .map(|at| Request::of(event(at % shape.visitors, at)))
        .collect()
}

/// `GET path` with the same headers.
#[must_use]
pub fn gets(shape: Shape, requests: usize, path: &str) -> Vec<Request> {
    (0..requests)
        .map(|at| Request {
            bytes: format!("GET {path} HTTP/1.1\r\n{}\r\n", headers(shape, at)).into_bytes(),
            serials: Vec::new(),
            head: None,
        })
        .collect()
}

/// Request line and headers of HTTP/1.1 in the words of the later versions.
fn parsed(head: &str, scheme: &str) -> Result<http::Request<()>> {
    let mut lines = head.split("\r\n");
    let mut line = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (
        line.next().unwrap_or_default(),
        line.next().unwrap_or_default(),
    );
    let headers = || lines.clone().filter_map(|line| line.split_once(": "));
    let host = headers().find(|(name, _)| *name == "Host");
    let host = host.map_or("", |(_, host)| host);
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{scheme}://{host}{path}"));
    headers()
        .filter(|(name, _)| *name != "Host")
        .fold(request, |request, (name, value)| {
            request.header(name, value)
        })
        .body(())
        .map_err(|error| Error::new(ErrorKind::InvalidInput, error))
}

fn post(shape: Shape, at: usize, body: &str) -> Request {
    let text = format!(
        "POST /v1/events HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        headers(shape, at),
        body.len()
    );
    Request::of(text)
}

/// What a browser behind a CDN sends; the cookie is the one it was given on its first visit.
fn headers(shape: Shape, at: usize) -> String {
    let visitor = at % shape.visitors;
    format!(
        "Host: 127.0.0.1\r\nUser-Agent: {}\r\nAccept: */*\r\nX-Forwarded-For: {}\r\nCookie: {COOKIE}={:032x}\r\n",
        user_agent(at % shape.user_agents),
        address(visitor % shape.addresses),
        cookie(visitor)
    )
}

/// An address in the networks that MaxMind's test databases know.
#[must_use]
pub fn address(at: usize) -> Ipv4Addr {
    const NETS: [[u8; 3]; 4] = [[81, 2, 69], [89, 160, 20], [67, 43, 156], [1, 128, 0]];
    let [a, b, c] = NETS[at % NETS.len()];
    Ipv4Addr::new(a, b, c, u8::try_from(at / NETS.len() % 256).unwrap_or(0))
}

/// One of the user agents: phones, tablets and desktops in the shares that shops see.
#[must_use]
pub fn user_agent(at: usize) -> String {
    let version = 120 + at / 4;
    match at % 4 {
        0 => format!(
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Mobile Safari/537.36"
        ),
        1 => format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
        ),
        2 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.{version} Mobile/15E148 Safari/604.1"
        ),
        _ => format!(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        ),
    }
}

/// One event's JSON, exactly [`EVENT_BYTES`] long. Of ten, six are page views.
#[must_use]
pub fn event(visitor: usize, at: usize) -> String {
    const PATHS: [&str; 8] = [
        "/",
        "/shoes",
        "/pricing",
        "/blog/post",
        "/sale",
        "/support",
        "/bags",
        "/checkout",
    ];
    const CATEGORIES: [&str; 3] = ["shoes", "boots", "bags"];
    let roll = (scattered(at) >> 100) % 10;
    let path = PATHS[(at / 3 + visitor) % PATHS.len()];
    let category = CATEGORIES[(at / 7 + visitor) % CATEGORIES.len()];
    let sku = 1_000 + (at * 31 + visitor) % 400;
    let price = 10 + (at * 13) % 200;
    let product = format!(
        r#""product_id":"sku-{sku}","category":"{category}","price":{price}.5,"currency":"EUR","quantity":1"#
    );
    let what = match roll {
        0..6 => format!(r#""type":"page","name":"Shop","properties":{{"path":"{path}"}}"#),
        6 | 7 => track("Product Viewed", &product),
        8 => track("Product Added", &product),
        _ => track(
            "Order Completed",
            &format!(r#""revenue":{price}.5,"currency":"EUR""#),
        ),
    };
    let text = format!(
        r#"{{{what},"writeKey":"{WRITE_KEY}","anonymousId":"{}","messageId":"tg-{SERIAL}","timestamp":"2026-11-22T11:59:59.172Z","sentAt":"2026-11-22T11:59:59.179Z","context":{{"page":{{"url":"https://shop.example.com{path}?utm_source=mail&utm_campaign=spring","path":"{path}","search":"?utm_source=mail","title":"{PADDING}","referrer":"https://news.example.com/"}},"locale":"en-GB","library":{{"name":"tidegate-tag","version":"0.1.0"}}}}}}"#,
        anonymous_id(visitor)
    );
    let padding = (EVENT_BYTES + PADDING.len()).saturating_sub(text.len());
    text.replace(
        PADDING,
        &"Shoes and bags, boots and more; ".repeat(8)[..padding.min(256)],
    )
}

fn track(name: &str, properties: &str) -> String {
    format!(r#""type":"track","event":"{name}","properties":{{{properties}}}"#)
}

/// The visitor's anonymousId, a UUID.
#[must_use]
pub fn anonymous_id(visitor: usize) -> String {
    let bits = scattered(visitor);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 68 & 0xfff,
        bits >> 56 & 0xfff,
        bits & 0xffff_ffff_ffff
    )
}

fn cookie(visitor: usize) -> u128 {
    scattered(visitor).rotate_left(64) ^ 1
}

/// The index, spread over 128 bits by an odd multiplier (no two alike).
fn scattered(visitor: usize) -> u128 {
    (visitor as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_event_is_json_of_six_hundred_bytes() {
        for at in 0..2_000 {
            let text = event(at % 1_000, at);
            assert_eq!(text.len(), EVENT_BYTES, "{text}");
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }

    #[test]
    fn a_request_says_the_same_in_every_version() {
        let mut request = single(Shape::default(), 1).remove(0);
        let bytes = request.stamped(&mut 7).to_vec();
        let (head, body) = request.message("https", &mut 7).unwrap();
        assert!(bytes.ends_with(&body));
        assert_eq!(body.len(), EVENT_BYTES);
        assert_eq!(head.uri(), "https://127.0.0.1/v1/events");
        assert_eq!(head.headers()["content-length"], "600");
        assert!(head.headers().contains_key("cookie"));
        assert!(!head.headers().contains_key("host"));
    }

    #[test]
    fn message_ids_are_fresh_and_visitors_distinct() {
        let mut requests = batches(Shape::default(), 2, 50);
        let mut serial = 99;
        let first = requests[0].stamped(&mut serial).to_vec();
        let second = requests[1].stamped(&mut serial).to_vec();
        assert_eq!((serial, requests[0].events()), (199, 50));
        assert!(
            String::from_utf8(first)
                .unwrap()
                .contains("0000000000000099")
        );
        assert!(
            String::from_utf8(second)
                .unwrap()
                .contains("0000000000000149")
        );
        let ids: BTreeSet<String> = (0..10_000).map(anonymous_id).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
