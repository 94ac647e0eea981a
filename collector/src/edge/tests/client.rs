//! A client that shows every byte: requests are written out, answers are read by their length.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for anything before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The outcome words of the results, in order.
    pub(super) fn outcomes(&self) -> Vec<String> {
        let json = self.json();
        let rows = json["results"].as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| row["outcome"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(super) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(super) async fn to(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            unread: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
    }

    /// Sends as much as the other side takes; it may have answered and closed.
    pub(super) async fn send_what_it_takes(&mut self, request: &[u8]) {
        let _ = tokio::time::timeout(PATIENCE, self.stream.write_all(request)).await;
    }

    pub(super) async fn finish_sending(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next answer on this connection.
    pub(super) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        let length = answer
            .header("content-length")
            .filter(|_| answer.status != 304)
            .map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.read().await > 0, "closed within a body");
        }
        answer.body = self.unread.drain(..length).collect();
        answer
    }

    /// The next answer, where it has no body whatever its length says.
    pub(super) async fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.read().await > 0, "closed before an answer");
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        Answer {
            status: head[9..12].parse().unwrap(),
            head,
            body: Vec::new(),
        }
    }

    pub(super) async fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    /// Waits until the other side closes; true where nothing came before.
    pub(super) async fn is_closed_silently(&mut self) -> bool {
        let mut silent = self.unread.is_empty();
        while self.read().await > 0 {
            silent = false;
        }
        silent
    }

    async fn read(&mut self) -> usize {
        let read = self.stream.read_buf(&mut self.unread);
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(length)) => length,
            // A reset is an end as well.
            Ok(Err(_)) => 0,
            Err(_) => panic!("no byte in time"),
        }
    }
}

/// Asks once, on a connection of its own.
pub(super) async fn ask(address: SocketAddr, request: &[u8]) -> Answer {
    Client::to(address).await.ask(request).await
}

pub(super) fn get(path: &str, headers: &[&str]) -> Vec<u8> {
    request("GET", path, headers, b"")
}

pub(super) fn post(path: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let length = format!("content-length: {}", body.as_ref().len());
    let headers = [headers, &[length.as_str()]].concat();
    request("POST", path, &headers, body.as_ref())
}

/// A POST of events with the shop's key.
pub(super) fn events(body: impl AsRef<[u8]>) -> Vec<u8> {
    post("/v1/events?writeKey=shop-key", &[], body)
}

pub(super) fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// Waits until `holds`.
pub(super) async fn eventually(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it never came to hold");
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}
