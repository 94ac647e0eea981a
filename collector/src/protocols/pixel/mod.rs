//! The pixel's query string: one event as parameters named like the native JSON's members, or a
//! whole native body in base64 as `data`. Both become native JSON in the caller's scratch buffer
//! and go through the native decoder, so the rules stand in one place.
//!
//! `context`, `properties` and `traits` hold JSON; every other parameter is text. Without `type`,
//! an `event` makes it a track and its absence a page view. Unknown parameters are ignored.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::IgnoredAny;
use tidegate_event::json::write_str;

use crate::pipeline::decode::{Envelope, Limits, Unreadable};
use crate::protocols::native;

const TEXT: [&str; 12] = [
    "type",
    "event",
    "name",
    "anonymousId",
    "userId",
    "previousId",
    "groupId",
    "messageId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "channel",
];
const OBJECTS: [&str; 3] = ["context", "properties", "traits"];

/// Padded or not: pixels are pasted by hand.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// Reads a query string, without its `?`.
///
/// # Errors
/// [`Unreadable`], as for a native body.
pub fn read<'a>(
    query: &str,
    limits: &Limits,
    scratch: &'a mut Vec<u8>,
) -> Result<Envelope<'a>, Unreadable> {
    scratch.clear();
    let mut data = None;
    let mut write_key = None;
    let mut typed = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "data" => data = Some(value),
            "writeKey" if !value.is_empty() => write_key = Some(value.into_owned()),
            "type" | "event" if !value.is_empty() => {
                typed = typed.max(Some(name == "type"));
                member(scratch, &name, &value);
            }
            name => member(scratch, name, &value),
        }
    }
    match data {
        Some(data) => decode(&data, scratch)?,
        None if scratch.is_empty() => return Err(Unreadable::Empty),
        None => {
            match typed {
                Some(true) => {}
                Some(false) => member(scratch, "type", "track"),
                None => member(scratch, "type", "page"),
            }
            scratch.push(b'}');
        }
    }
    let mut envelope = native::read(scratch, limits)?;
    envelope.write_key = envelope.write_key.or(write_key.map(Cow::Owned));
    Ok(envelope)
}

/// Appends one member where the parameter is known.
fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    let is_object = OBJECTS.contains(&name);
    if !is_object && !TEXT.contains(&name) || value.is_empty() {
        return;
    }
    out.push(if out.is_empty() { b'{' } else { b',' });
    write_str(out, name);
    out.push(b':');
    // Only well-formed JSON goes in as it is; the rest becomes a string, and so a wrong type.
    if is_object && serde_json::from_str::<IgnoredAny>(value).is_ok() {
        out.extend_from_slice(value.as_bytes());
    } else {
        write_str(out, value);
    }
}

/// Base64, standard or URL-safe; form decoding made each `+` a space.
fn decode(data: &str, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let data: Vec<u8> = data
        .bytes()
        .map(|byte| match byte {
            b'+' | b' ' => b'-',
            b'/' => b'_',
            other => other,
        })
        .collect();
    out.clear();
    URL_SAFE
        .decode_vec(data, out)
        .map_err(|_| Unreadable::NotBase64)
}
