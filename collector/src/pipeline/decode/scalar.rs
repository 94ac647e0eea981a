//! Scalars of an event: ids, names and times, each with its path in the error.

use std::borrow::Cow;

use tidegate_event::{Json, Timestamp};

use super::error::DecodeError;
use super::timestamp;

/// What a time that was never set reads as, at the latest.
const UNSET: Timestamp = Timestamp(0);

/// An identifier: a string, or a number as its text. Null and `""` are absent.
pub(super) fn id<'a>(
    value: Json<'a>,
    path: &'static str,
    max: usize,
) -> Result<Option<Cow<'a, str>>, DecodeError> {
    let text = match value {
        Json::Null => return Ok(None),
        Json::Str(text) => text,
        Json::Int(number) => Cow::Owned(number.to_string()),
        Json::Float(number) => Cow::Owned(number.to_string()),
        Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
            let expected = "a string or a number";
            return Err(DecodeError::WrongType { path, expected });
        }
    };
    if text.len() > max {
        return Err(DecodeError::TooLong { path, max });
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A string; null is absent.
pub(super) fn text<'a>(
    value: Json<'a>,
    path: &'static str,
) -> Result<Option<Cow<'a, str>>, DecodeError> {
    match value {
        Json::Null => Ok(None),
        Json::Str(text) => Ok(Some(text)),
        Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Array(_) | Json::Object(_) => {
            let expected = "a string";
            Err(DecodeError::WrongType { path, expected })
        }
    }
}

/// A time; null and `""` are absent. So is zero, and whatever lies before it: a clock or a field that
/// was never set says so (0, or Go's year 1), and no event is that old.
pub(super) fn time(value: &Json<'_>, path: &'static str) -> Result<Option<Timestamp>, DecodeError> {
    match value {
        Json::Null => Ok(None),
        Json::Str(text) if text.is_empty() => Ok(None),
        Json::Str(_)
        | Json::Bool(_)
        | Json::Int(_)
        | Json::Float(_)
        | Json::Array(_)
        | Json::Object(_) => timestamp::read(value)
            .map(|at| (at > UNSET).then_some(at))
            .ok_or(DecodeError::BadTimestamp { path }),
    }
}

/// The time's own text, as sent.
pub(super) fn as_sent(value: Json<'_>) -> Option<Cow<'_, str>> {
    match value {
        Json::Str(text) => Some(text),
        Json::Int(number) => Some(Cow::Owned(number.to_string())),
        Json::Float(number) => Some(Cow::Owned(number.to_string())),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}
