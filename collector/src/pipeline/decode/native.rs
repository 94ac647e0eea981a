//! The native JSON protocol, the Segment spec's shape: one event, or `{"batch": [...]}` with
//! `context`, `sentAt`, `writeKey` and `channel` for all. Knows nothing of HTTP.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tidegate_event::Json;

use super::error::Unreadable;
use super::event::{self, Shared};
use super::fields::Fields;
use super::{Decoded, Envelope, Limits, object};

/// Reads a whole body.
///
/// # Errors
/// [`Unreadable`], where no event can be told apart.
pub fn read<'a>(body: &'a [u8], limits: &Limits) -> Result<Envelope<'a>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|error| Unreadable::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut fields = match serde_json::from_str::<Fields<'a>>(text) {
        Ok(fields) => fields,
        Err(error) => return unparsable(text, &error),
    };
    let write_key = match std::mem::replace(&mut fields.write_key, Json::Null) {
        Json::Str(key) if !key.is_empty() => Some(key),
        Json::Str(_)
        | Json::Null
        | Json::Bool(_)
        | Json::Int(_)
        | Json::Float(_)
        | Json::Array(_)
        | Json::Object(_) => None,
    };
    let single = fields.batch.is_none();
    let events = match fields.batch {
        None => vec![event::decode(text, fields, limits, &Shared::default())],
        Some(batch) => elements(batch.get(), fields, limits)?,
    };
    Ok(Envelope {
        write_key,
        events,
        single,
    })
}

fn elements<'a>(
    batch: &'a str,
    fields: Fields<'a>,
    limits: &Limits,
) -> Result<Vec<Decoded<'a>>, Unreadable> {
    if !batch.starts_with('[') {
        return Err(Unreadable::BatchNotAnArray);
    }
    let max = limits.batch_events_max;
    // The text is well-formed, so the only failure left is one element too many.
    let elements = serde_json::Deserializer::from_str(batch)
        .deserialize_seq(Elements { max })
        .map_err(|_| Unreadable::TooManyEvents { max })?;
    if elements.is_empty() {
        return Err(Unreadable::Empty);
    }
    let shared = Shared {
        server_channel: event::is_server(&fields.channel),
        sent_at: Some(fields.sent_at),
        // A batch context that is no object says nothing; its events are not to blame.
        context: object::read(fields.context, "context").unwrap_or_default(),
    };
    Ok(elements
        .into_iter()
        .map(|raw| event::element(raw.get(), limits, &shared))
        .collect())
}

/// The error path: is it JSON at all, and if so, whose fault is it?
fn unparsable<'a>(text: &'a str, error: &serde_json::Error) -> Result<Envelope<'a>, Unreadable> {
    let json = serde_json::from_str::<&RawValue>(text).map_err(|error| Unreadable::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    if !json.get().starts_with('{') {
        return Err(Unreadable::NotAnObject);
    }
    Ok(Envelope {
        write_key: None,
        events: vec![Decoded {
            raw: text,
            message_id: None,
            hit: Err(event::unparsable(text, error)),
        }],
        single: true,
    })
}

/// Collects at most `max` elements as text.
struct Elements {
    max: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} events", self.max)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            if elements.len() == self.max {
                return Err(serde::de::Error::invalid_length(self.max + 1, &self));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

/// The write key of a query string, where it has one.
#[must_use]
pub fn write_key_of_query(query: &str) -> Option<Cow<'_, str>> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "writeKey")
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}
