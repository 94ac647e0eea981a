//! Random requests, each with what it may come to. The expectation is written down beside the
//! request, from the documented contract, so that the answer is judged by something else than the
//! code that gave it.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, Request};
use rand::Rng;
use rand::rngs::SmallRng;
use tidegate_event::Outcome;

use super::pieces::{Piece, Pieces};

/// Bounds that the requests play with.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;
pub(super) const EVENT_BYTES_MAX: usize = 2_048;
pub(super) const BATCH_EVENTS_MAX: usize = 150;
pub(super) const BODY_TIMEOUT_MS: u64 = 10_000;

/// How one event may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// `accepted`, `duplicate`, or, without room, `overloaded`.
    Taken,
    /// This, whatever happens.
    Always(Outcome),
}

/// One event as sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) source: &'static str,
    pub(super) message_id: Option<String>,
    pub(super) end: End,
}

/// What the answer has to be about.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// A result for each event.
    Rows(Vec<Sent>),
    /// An image for this one.
    Image(Sent),
    /// Refused as a whole with this outcome: one received event.
    Whole(Outcome),
    /// No events: nothing is counted.
    Nothing,
}

impl Expected {
    /// Events that the request counts for at most.
    pub(super) fn events(&self) -> u64 {
        match self {
            Self::Rows(rows) => rows.len() as u64,
            Self::Image(_) | Self::Whole(_) => 1,
            Self::Nothing => 0,
        }
    }
}

/// A request and what it may come to.
pub(super) struct Planned {
    pub(super) request: Request<Pieces>,
    pub(super) expected: Expected,
}

/// Makes requests; remembers ids, to send some again.
pub(super) struct Traffic {
    next: u64,
    recent: Vec<String>,
}

const SOURCES: [(&str, &str); 3] = [
    ("shop", "shop-key"),
    ("crm", "crm-key"),
    ("strict", "strict-key"),
];

impl Traffic {
    pub(super) fn new(life: u64) -> Self {
        Self {
            // Ids of an earlier life come up again: their dedup keys have to survive it.
            next: life * 300,
            recent: (life.saturating_sub(1) * 300..life * 300)
                .map(|n| format!("m-{n}"))
                .collect(),
        }
    }

    /// The next request.
    pub(super) fn plan(&mut self, random: &mut SmallRng) -> Planned {
        let (source, key) = SOURCES[[0, 0, 0, 0, 0, 1, 1, 2][random.random_range(0..8)]];
        match random.random_range(0..100) {
            0..45 => self.posted(random, source, key, 1),
            45..62 => {
                let events = random.random_range(1..=120);
                self.posted(random, source, key, events)
            }
            62..70 => self.pixel(random, source, key),
            70..73 => whole(
                random,
                "nobody",
                br#"{"type":"page"}"#,
                Outcome::Unauthorized,
            ),
            73..76 => whole(random, key, br#"{"type":"#, Outcome::Invalid),
            76..78 => whole(random, key, b"\xff\xfe", Outcome::Invalid),
            78..80 => whole(random, key, b"", Outcome::Invalid),
            80..83 => damaged_gzip(key),
            83..85 => whole(
                random,
                key,
                &gzip(&vec![b' '; 4 * BODY_BYTES_MAX]),
                Outcome::TooLarge,
            ),
            85..87 => whole(
                random,
                key,
                &vec![b' '; BODY_BYTES_MAX + 1],
                Outcome::TooLarge,
            ),
            87..89 => {
                let batch = format!(r#"{{"batch":[{}0]}}"#, "0,".repeat(BATCH_EVENTS_MAX));
                whole(random, key, batch.as_bytes(), Outcome::TooLarge)
            }
            89..93 => never_complete(random, key),
            _ => uncounted(random),
        }
    }

    fn posted(
        &mut self,
        random: &mut SmallRng,
        source: &'static str,
        key: &str,
        events: usize,
    ) -> Planned {
        let mut rows = Vec::with_capacity(events);
        let mut texts = Vec::with_capacity(events);
        let most = if events == 1 { 1 } else { 10 };
        for _ in 0..events {
            let (text, sent) = self.event(random, source, events <= most);
            texts.push(text);
            rows.push(sent);
        }
        let body = match (events, random.random_bool(0.5)) {
            (1, true) => texts.remove(0),
            _ => format!(r#"{{"batch":[{}]}}"#, texts.join(",")),
        };
        let zipped = random.random_bool(0.2);
        let body = if zipped {
            gzip(body.as_bytes())
        } else {
            body.into_bytes()
        };
        let mut request = Request::post(format!("/v1/events?writeKey={key}"));
        if zipped && random.random_bool(0.5) {
            request = request.header("content-encoding", "gzip");
        }
        if random.random_bool(0.1) {
            request = request.header("sec-gpc", "1");
        }
        Planned {
            request: request.body(in_pieces(random, &body)).unwrap(),
            expected: Expected::Rows(rows),
        }
    }

    fn pixel(&mut self, random: &mut SmallRng, source: &'static str, key: &str) -> Planned {
        let (text, sent) = self.event(random, source, true);
        let data = URL_SAFE_NO_PAD.encode(text);
        let uri = format!("/v1/pixel.gif?writeKey={key}&data={data}");
        Planned {
            request: Request::get(uri).body(Pieces::new([])).unwrap(),
            expected: Expected::Image(sent),
        }
    }

    /// One event; large ones only where a few of them fit into a body.
    fn event(
        &mut self,
        random: &mut SmallRng,
        source: &'static str,
        may_be_large: bool,
    ) -> (String, Sent) {
        let message_id = self.message_id(random);
        let id = message_id
            .as_ref()
            .map_or_else(String::new, |id| format!(r#","messageId":"{id}""#));
        let (text, end) = content(random, &id, may_be_large);
        let end = match end {
            End::Taken if source == "strict" => End::Always(Outcome::ConsentDenied),
            end => end,
        };
        let sent = Sent {
            source,
            message_id,
            end,
        };
        (text, sent)
    }

    /// A new id, one that was sent before, or none.
    fn message_id(&mut self, random: &mut SmallRng) -> Option<String> {
        match random.random_range(0..10) {
            0..6 => {
                let id = format!("m-{}", self.next);
                self.next += 1;
                self.recent.push(id.clone());
                Some(id)
            }
            6..9 if !self.recent.is_empty() => {
                let from = self.recent.len().saturating_sub(40);
                let far = random.random_bool(0.2);
                let from = if far { 0 } else { from };
                Some(self.recent[random.random_range(from..self.recent.len())].clone())
            }
            _ => None,
        }
    }
}

/// One event's text with this `messageId` member, and its end by the documented rules.
fn content(random: &mut SmallRng, id: &str, may_be_large: bool) -> (String, End) {
    let device = random.random_range(0..12);
    let user = random.random_range(0..6);
    let fill = random.random_range(0..if may_be_large { 1_500 } else { 100 });
    match random.random_range(0..100) {
        0..50 => (
            format!(
                r#"{{"type":"track","event":"Cart","anonymousId":"a{device}","properties":{{"fill":"{}"}}{id}}}"#,
                "x".repeat(fill)
            ),
            End::Taken,
        ),
        50..75 => (
            format!(
                r#"{{"type":"page","anonymousId":"a{device}","context":{{"page":{{"path":"/pricing"}}}}{id}}}"#
            ),
            End::Taken,
        ),
        75..83 => (
            format!(r#"{{"type":"identify","anonymousId":"a{device}","userId":"u{user}"{id}}}"#),
            End::Taken,
        ),
        83..85 => (
            format!(r#"{{"type":"alias","previousId":"a{device}","userId":"u{user}"{id}}}"#),
            End::Taken,
        ),
        85..89 => (
            format!(
                r#"{{"type":"track","event":"Dated","userId":"u{user}","timestamp":"2027-01-15T00:00:0{user}Z"{id}}}"#
            ),
            End::Taken,
        ),
        89..93 => (
            format!(r#"{{"type":"nonsense"{id}}}"#),
            End::Always(Outcome::Invalid),
        ),
        93..96 => (
            format!(r#"{{"type":"page","anonymousId":"a","timestamp":"yesterday"{id}}}"#),
            End::Always(Outcome::Invalid),
        ),
        _ if may_be_large => (
            format!(
                r#"{{"type":"page","anonymousId":"a","properties":{{"fill":"{}"}}{id}}}"#,
                "x".repeat(EVENT_BYTES_MAX)
            ),
            End::Always(Outcome::TooLarge),
        ),
        _ => (
            format!(r#"{{"type":"page","anonymousId":7{id}}}"#),
            End::Taken,
        ),
    }
}

/// A batch of the shop's with these message ids.
pub(super) fn batch(ids: &[String]) -> Planned {
    let events: Vec<String> = ids
        .iter()
        .map(|id| format!(r#"{{"type":"page","anonymousId":"a","messageId":"{id}"}}"#))
        .collect();
    let body = format!(r#"{{"batch":[{}]}}"#, events.join(","));
    let sent = |id: &String| Sent {
        source: "shop",
        message_id: Some(id.clone()),
        end: End::Taken,
    };
    let request = Request::post("/v1/events?writeKey=shop-key");
    Planned {
        request: request
            .body(Pieces::new([Piece::Data(body.into())]))
            .unwrap(),
        expected: Expected::Rows(ids.iter().map(sent).collect()),
    }
}

/// A request without a readable event.
fn whole(random: &mut SmallRng, key: &str, body: &[u8], outcome: Outcome) -> Planned {
    let request = Request::post(format!("/v1/events?writeKey={key}"));
    Planned {
        request: request.body(in_pieces(random, body)).unwrap(),
        expected: Expected::Whole(outcome),
    }
}

fn damaged_gzip(key: &str) -> Planned {
    let mut body = gzip(br#"{"type":"page","anonymousId":"a"}"#);
    body.truncate(20);
    let request = Request::post(format!("/v1/events?writeKey={key}"));
    let body = Pieces::new([Piece::Data(body.into())]);
    Planned {
        request: request.body(body).unwrap(),
        expected: Expected::Whole(Outcome::Invalid),
    }
}

/// Breaks off, or stalls for longer than a body may take.
fn never_complete(random: &mut SmallRng, key: &str) -> Planned {
    let last = if random.random_bool(0.5) {
        Piece::Break
    } else {
        Piece::Pause(10 * BODY_TIMEOUT_MS)
    };
    let first = Bytes::from_static(br#"{"type":"page","anon"#);
    let body = [Piece::Pause(5), Piece::Data(first), Piece::Pause(5), last];
    let request = Request::post(format!("/v1/events?writeKey={key}"));
    Planned {
        request: request.body(Pieces::new(body)).unwrap(),
        expected: Expected::Whole(Outcome::Invalid),
    }
}

/// What brings no event at all.
fn uncounted(random: &mut SmallRng) -> Planned {
    let (method, path) = [
        (Method::GET, "/v1/segments?writeKey=crm-key&anonymous_id=a1"),
        (Method::OPTIONS, "/v1/events"),
        (Method::GET, "/v1/events"),
        (Method::GET, "/nowhere"),
        (Method::GET, "/tag.js"),
    ][random.random_range(0..5)]
    .clone();
    let request = Request::builder().method(method).uri(path);
    Planned {
        request: request.body(Pieces::new([])).unwrap(),
        expected: Expected::Nothing,
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// At once, or in two pieces with a pause.
fn in_pieces(random: &mut SmallRng, body: &[u8]) -> Pieces {
    let whole = Bytes::copy_from_slice(body);
    if body.len() < 2 || random.random_bool(0.6) {
        return Pieces::new([Piece::Data(whole)]);
    }
    let at = random.random_range(1..body.len());
    let pause = random.random_range(0..50);
    Pieces::new([
        Piece::Data(whole.slice(..at)),
        Piece::Pause(pause),
        Piece::Data(whole.slice(at..)),
    ])
}
