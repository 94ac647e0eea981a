//! Objects of an event: text and parsed members together, nesting bounded: by the
//! parser, and then as strictly as this protocol wants it.

use std::borrow::Cow;

use serde_json::value::RawValue;
use tidegate_event::Json;
use tidegate_event::hit::Object;

use super::DEPTH_MAX;
use super::error::DecodeError;
use super::mend;

/// Reads one object; absent and null are None.
pub(crate) fn read<'a>(
    raw: Option<Cow<'a, RawValue>>,
    path: &'static str,
    members_max: usize,
) -> Result<Option<Object<'a>>, DecodeError> {
    let Some(text) = raw else {
        return Ok(None);
    };
    let raw = text.get();
    match raw.as_bytes().first() {
        Some(b'{') => {}
        Some(b'n') => return Ok(None),
        // PHP encodes an empty object so.
        Some(b'[') if is_empty_array(raw) => return Ok(Some(Object::empty())),
        _ => {
            let expected = "an object";
            return Err(DecodeError::WrongType { path, expected });
        }
    }
    // The event around it is one level.
    let max = DEPTH_MAX - 1;
    let too_deep = Err(DecodeError::TooDeep {
        path,
        max: DEPTH_MAX,
    });
    let object = match parsed(&text) {
        Ok(object) if nests_deeper_than(&object.value, max) => return too_deep,
        Ok(object) => object,
        Err(_) if deeper_than(raw, max) => return too_deep,
        Err(error) => mended(raw).ok_or(DecodeError::BadValue {
            path,
            at: error.column(),
        })?,
    };
    if has_more_members_than(&object.value, members_max) {
        let max = members_max;
        return Err(DecodeError::TooManyMembers { path, max });
    }
    Ok(Some(object))
}

/// The value beside its text, both borrowed where the text is.
fn parsed<'a>(text: &Cow<'a, RawValue>) -> serde_json::Result<Object<'a>> {
    Ok(match text {
        Cow::Borrowed(text) => {
            let raw: &'a str = RawValue::get(text);
            Object {
                value: serde_json::from_str(raw)?,
                raw: Cow::Borrowed(raw),
            }
        }
        Cow::Owned(text) => {
            let raw = text.get();
            Object {
                value: mend::owned(serde_json::from_str::<Json<'_>>(raw)?),
                raw: Cow::Owned(raw.to_owned()),
            }
        }
    })
}

/// `[]`, with or without blanks inside.
pub(crate) fn is_empty_array(raw: &str) -> bool {
    let inside = raw.strip_prefix('[').and_then(|raw| raw.strip_suffix(']'));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// Whether it or an object in it has more members. Its depth is bounded already.
fn has_more_members_than(value: &Json<'_>, max: usize) -> bool {
    match value {
        Json::Array(items) => items.iter().any(|item| has_more_members_than(item, max)),
        Json::Object(members) => {
            let inside = |value| has_more_members_than(value, max);
            members.len() > max || members.iter().any(|(_, value)| inside(value))
        }
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Str(_) => false,
    }
}

/// As [`deeper_than`], of what was read. The parser's own limit of 128 levels bounds the recursion.
fn nests_deeper_than(value: &Json<'_>, max: usize) -> bool {
    let inside = |value: &Json<'_>| nests_deeper_than(value, max - 1);
    match value {
        Json::Array(_) | Json::Object(_) if max == 0 => true,
        Json::Array(items) => items.iter().any(inside),
        Json::Object(members) => members.iter().any(|(_, value)| inside(value)),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Str(_) => false,
    }
}

/// The error path: half an emoji is no reason to lose the event.
fn mended<'a>(raw: &str) -> Option<Object<'a>> {
    let mended = mend::lone_surrogates(raw)?;
    let value = mend::owned(serde_json::from_str::<Json<'_>>(&mended).ok()?);
    let raw = Cow::Owned(mended);
    Some(Object { raw, value })
}

/// The error path: whether well-formed JSON nests deeper than `max` levels.
pub(crate) fn deeper_than(json: &str, max: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_inside_strings_are_no_levels() {
        let text = format!("{{\"a\\\"\":\"{}\"}}", "[{".repeat(40));
        assert!(!deeper_than(&text, 1));
        let flat = format!("[{}0]", "[],".repeat(40));
        assert!(!deeper_than(&flat, 2));
        assert!(deeper_than(&flat, 1));
        assert!(deeper_than(&"[".repeat(33), 32));
        assert!(!deeper_than(
            &format!("{}{}", "[".repeat(32), "]".repeat(32)),
            32
        ));
    }
}
