//! Accumulated traits: the newest value of each key. Bounded by whoever writes the record; laying
//! one object over another is all that happens here.

use tidegate_event::Json;
use tidegate_event::json::write_str;

/// `base` with the members of `over` laid over it, both JSON objects; `null` removes a member.
/// Text that is no object counts as empty.
#[must_use]
pub fn overlay(base: Option<&str>, over: &str) -> Box<str> {
    let read = |text| match serde_json::from_str(text) {
        Ok(Json::Object(members)) => members,
        _ => Vec::new(),
    };
    let mut members = base.map(read).unwrap_or_default();
    for (key, value) in read(over) {
        members.retain(|(known, _)| *known != key);
        if value != Json::Null {
            members.push((key, value));
        }
    }
    let mut out = Vec::new();
    write(&mut out, &Json::Object(members));
    String::from_utf8(out).unwrap_or_default().into_boxed_str()
}

fn write(out: &mut Vec<u8>, value: &Json<'_>) {
    match value {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Json::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes()),
        Json::Float(value) => {
            // A double that was read from JSON is finite, so this cannot fail.
            let text = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
            out.extend_from_slice(text.as_bytes());
        }
        Json::Str(text) => write_str(out, text),
        Json::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Json::Object(members) => {
            out.push(b'{');
            for (position, (key, item)) in members.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_str(out, key);
                out.push(b':');
                write(out, item);
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_of_each_key_stays_and_null_removes() {
        let first = overlay(
            None,
            r#"{"plan":"free","age":42,"address":{"city":"Zürich"}}"#,
        );
        let then = overlay(Some(&first), r#"{"plan":"pro","age":null,"score":1.5}"#);
        assert_eq!(
            &*then,
            r#"{"address":{"city":"Zürich"},"plan":"pro","score":1.5}"#
        );
        assert_eq!(&*overlay(Some("[1]"), "broken"), "{}");
    }
}
