//! The pixel's query string: one event as parameters, named like the members of native JSON, or a
//! whole native body in base64 as `data`. For pages and mails without scripts.
//!
//! `context`, `properties` and `traits` hold JSON; every other parameter is text. Without `type`,
//! an `event` makes it a track and its absence a page view. Unknown parameters are ignored.

mod parameters;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Answer, Carrier, Endpoint, OWN_KEYS, native};
use crate::pipeline::decode::{Envelope, Limits, Unreadable};
use parameters::Parameters;

/// `GET /v1/pixel.gif`
pub const ENDPOINTS: &[Endpoint] = &[Endpoint {
    path: "/v1/pixel.gif",
    setting: Some("pixel"),
    carrier: Carrier::Query,
    keys: OWN_KEYS,
    read: |message, limits, kept| read(message.query, limits, &kept.unpacked),
    answer: Answer::Image,
}];

/// Padded or not: pixels are pasted by hand.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// Reads a query string, without its `?`. `unpacked` holds what `data` was.
///
/// # Errors
/// [`Unreadable`], as for a native body.
pub fn read<'a>(
    query: &'a str,
    limits: &Limits,
    unpacked: &'a OnceLock<Vec<u8>>,
) -> Result<Envelope<'a>, Unreadable> {
    let (mut data, mut write_key) = (None, None);
    let mut parameters = Parameters::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "data" => data = Some(value),
            _ if value.is_empty() => {}
            "writeKey" => write_key = Some(value),
            name => parameters.take(name, value),
        }
    }
    let Some(data) = data else {
        let sent = parameters.sent().ok_or(Unreadable::Empty)?;
        return Ok(Envelope::one(write_key, sent, limits));
    };
    let body = decoded(&data)?;
    let mut envelope = native::read(unpacked.get_or_init(|| body), limits)?;
    envelope.write_key = envelope.write_key.or(write_key);
    Ok(envelope)
}

/// Base64, standard or URL-safe; form decoding made each `+` a space.
fn decoded(data: &str) -> Result<Vec<u8>, Unreadable> {
    let data: Vec<u8> = data
        .bytes()
        .map(|byte| match byte {
            b'+' | b' ' => b'-',
            b'/' => b'_',
            other => other,
        })
        .collect();
    URL_SAFE.decode(data).map_err(|_| Unreadable::NotBase64)
}
