//! A protocol for tests only. Like no other: lines of text, the key in a header, two paths. It shows
//! that this folder and its line in the list are all that a protocol needs.

use std::borrow::Cow;

use tidegate_event::Json;
use tidegate_event::json::write_str;

use super::{Answer, Carrier, Endpoint, KeyPlace, Message};
use crate::pipeline::decode::{Envelope, Fields, Limits, Sent, Shared, Unreadable};

/// `POST /stub`, an event a line, and `GET /stub.gif`, one event.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        path: "/stub",
        setting: None,
        carrier: Carrier::Body,
        keys: KEYS,
        read: |message, limits, _| lines(message, limits),
        answer: Answer::Rows,
    },
    Endpoint {
        path: "/stub.gif",
        setting: None,
        carrier: Carrier::Query,
        keys: KEYS,
        read: |message, limits, _| one(message, limits),
        answer: Answer::Image,
    },
];

const KEYS: &[KeyPlace] = &[KeyPlace::Header("x-stub-key")];

fn lines<'a>(message: Message<'a>, limits: &Limits) -> Result<Envelope<'a>, Unreadable> {
    let text = std::str::from_utf8(message.body).map_err(|error| Unreadable::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    let sent: Vec<_> = text.lines().map(event).collect();
    if sent.is_empty() {
        return Err(Unreadable::Empty);
    }
    Ok(Envelope::batch(None, sent, Shared::default(), limits))
}

fn one<'a>(message: Message<'a>, limits: &Limits) -> Result<Envelope<'a>, Unreadable> {
    if message.query.is_empty() {
        return Err(Unreadable::Empty);
    }
    Ok(Envelope::one(None, event(message.query), limits))
}

/// `visitor/name`
fn event(line: &str) -> Sent<'_> {
    let (visitor, name) = line.split_once('/').unwrap_or((line, ""));
    let text = |text| Json::Str(Cow::Borrowed(text));
    let fields = Fields {
        kind: text("track"),
        event: text(name),
        anonymous_id: text(visitor),
        message_id: text(line),
        ..Fields::default()
    };
    let mut raw = b"{\"event\":".to_vec();
    write_str(&mut raw, line);
    raw.push(b'}');
    Sent::single(String::from_utf8(raw).unwrap().into(), Ok(fields))
}
