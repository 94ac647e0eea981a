//! The native JSON protocol, the Segment spec's shape: one event, or `{"batch": [...]}` with
//! `context`, `sentAt`, `writeKey` and `channel` for all.

use std::sync::OnceLock;

use serde_json::value::RawValue;

use super::{Answer, Carrier, Endpoint, Kept, Message, OWN_KEYS};
use crate::pipeline::decode::{
    Batch, DecodeError, Envelope, Fields, LentContext, Limits, Salvaged, Sent, Shared, Unreadable,
    is_server, read_object, unparsable,
};

/// `POST /v1/events`
pub const ENDPOINTS: &[Endpoint] = &[Endpoint {
    path: "/v1/events",
    setting: Some("events"),
    carrier: Carrier::Body,
    keys: OWN_KEYS,
    read: read_message,
    answer: Answer::Rows,
}];

/// The time of sending, as RudderStack's SDKs say it.
const SENT_AT: &str = "sentat";

fn read_message<'a>(
    message: Message<'a>,
    limits: &Limits,
    kept: &'a Kept,
) -> Result<Envelope<'a>, Unreadable> {
    let envelope = read_or_salvage(message.body, &kept.salvaged, limits)?;
    Ok(envelope.or_sent_at(message.header(SENT_AT)))
}

/// Reads a whole body.
///
/// # Errors
/// [`Unreadable`], where the events cannot be found.
pub fn read<'a>(body: &'a [u8], limits: &Limits) -> Result<Envelope<'a>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|error| Unreadable::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    envelope(text, limits)
}

/// As [`read`]. Where that fails by bytes that are no UTF-8 or words that are no JSON, it reads again and
/// makes only the events bad that contain them. `kept` then holds what the envelope borrows.
///
/// # Errors
/// [`Unreadable`], where the events cannot be found, or the error is outside of them.
pub fn read_or_salvage<'a>(
    body: &'a [u8],
    kept: &'a OnceLock<Salvaged>,
    limits: &Limits,
) -> Result<Envelope<'a>, Unreadable> {
    let unreadable = match read(body, limits) {
        Err(error @ (Unreadable::NotUtf8 { .. } | Unreadable::NotJson { .. })) => error,
        read => return read,
    };
    let Some(salvaged) = Salvaged::of(body) else {
        return Err(unreadable);
    };
    let salvaged = kept.get_or_init(|| salvaged);
    let Ok(mut envelope) = envelope(salvaged.text(), limits) else {
        return Err(unreadable);
    };
    if envelope.mark(salvaged) {
        Ok(envelope)
    } else {
        Err(unreadable)
    }
}

fn envelope<'a>(text: &'a str, limits: &Limits) -> Result<Envelope<'a>, Unreadable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.is_empty() {
        return Err(Unreadable::Empty);
    }
    let max = limits.batch_events_max;
    let read = Fields::read(text, max).or_else(|_| Fields::read_mended(text, max));
    let mut fields = match read {
        Ok(fields) => fields,
        Err(error) => return no_fields(text, &error, limits),
    };
    let write_key = fields.write_key.text().cloned();
    Ok(match fields.batch.take() {
        None => Envelope::one(write_key, Sent::single(text.into(), Ok(fields)), limits),
        Some(batch) => {
            let sent = elements(batch, limits)?;
            Envelope::batch(write_key, sent, lent(fields, limits), limits)
        }
    })
}

fn elements<'a>(batch: Batch<'a>, limits: &Limits) -> Result<Vec<Sent<'a>>, Unreadable> {
    match batch {
        Batch::Events(events) if events.is_empty() => Err(Unreadable::Empty),
        Batch::Events(events) => Ok(events.iter().map(|raw| Sent::element(raw.get())).collect()),
        Batch::TooMany => Err(Unreadable::TooManyEvents {
            max: limits.batch_events_max,
        }),
        Batch::NotAnArray => Err(Unreadable::BatchNotAnArray),
    }
}

/// What a batch says for all its events.
fn lent<'a>(fields: Fields<'a>, limits: &Limits) -> Shared<'a> {
    let context = fields.context.filter(|raw| raw.get().starts_with('{'));
    let context_bytes = context.as_ref().map_or(0, |raw| raw.get().len());
    // No event can have a larger one, and what it becomes takes many times the memory of its text.
    let context = context.filter(|_| context_bytes <= limits.event_bytes_max);
    // A batch context that is no object says nothing; its events are not to blame.
    let (context, refused) = match read_object(context, "context", limits.members_max) {
        Ok(context) => (context, None),
        Err(DecodeError::WrongType { .. }) => (None, None),
        // It may hold a refusal of consent, which must not be lost with it.
        Err(error) => (None, Some(error)),
    };
    Shared {
        context_bytes,
        refused,
        server_channel: is_server(&fields.channel),
        sent_at: Some(fields.sent_at),
        context: context.map(LentContext::new),
    }
}

/// The error path: is it JSON at all, and if so, whose fault is it?
fn no_fields<'a>(
    text: &'a str,
    error: &serde_json::Error,
    limits: &Limits,
) -> Result<Envelope<'a>, Unreadable> {
    let json = serde_json::from_str::<&RawValue>(text).map_err(|error| Unreadable::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    if !json.get().starts_with('{') {
        return Err(Unreadable::NotAnObject);
    }
    let sent = Sent::single(text.into(), Err(unparsable(text, error)));
    Ok(Envelope::one(None, sent, limits))
}
