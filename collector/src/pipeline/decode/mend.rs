//! Half of a surrogate pair, as JavaScript leaves it where it cuts a text inside an emoji: legal for
//! `JSON.stringify`, no text for anyone else. Such an escape becomes U+FFFD rather than costing the
//! event.

use std::borrow::Cow;

use tidegate_event::Json;

/// The same JSON with each lone surrogate escape replaced; None where it has none.
pub(super) fn lone_surrogates(json: &str) -> Option<String> {
    const REPLACEMENT: &str = "\\ufffd";
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = json[at..].find('\\') {
        at += found;
        let unit = code_unit(json, at);
        at = match unit {
            Some(0xd800..=0xdbff) if is_low(code_unit(json, at + 6)) => at + 12,
            Some(0xd800..=0xdfff) => {
                out.push_str(&json[copied..at]);
                out.push_str(REPLACEMENT);
                copied = at + 6;
                copied
            }
            Some(_) => at + 6,
            // An escape of two bytes, the escaped backslash among them.
            None => at + 2,
        };
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&json[copied..]);
    Some(out)
}

fn is_low(unit: Option<u16>) -> bool {
    matches!(unit, Some(0xdc00..=0xdfff))
}

/// The value of the `\uXXXX` at `at`.
fn code_unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// The value with nothing borrowed. As deep as its text was allowed to nest.
pub(in crate::pipeline) fn owned<'a>(json: Json<'_>) -> Json<'a> {
    match json {
        Json::Null => Json::Null,
        Json::Bool(value) => Json::Bool(value),
        Json::Int(value) => Json::Int(value),
        Json::Float(value) => Json::Float(value),
        Json::Str(text) => Json::Str(Cow::Owned(text.into_owned())),
        Json::Array(items) => Json::Array(items.into_iter().map(owned).collect()),
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .map(|(key, value)| (Cow::Owned(key.into_owned()), owned(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lone_halves_are_replaced() {
        for (json, expected) in [
            (r#"{"a":"x"}"#, None),
            (r#"{"a":"\ud83d\ude00 \u00e9 \\ud83d \""}"#, None),
            (r#"{"a":"\ud83d"}"#, Some(r#"{"a":"\ufffd"}"#)),
            (
                r#"{"\udE00":"\ud83d\ud83d\ude00é"}"#,
                Some(r#"{"\ufffd":"\ufffd\ud83d\ude00é"}"#),
            ),
            (r#"["\\\ud83d\n"]"#, Some(r#"["\\\ufffd\n"]"#)),
        ] {
            assert_eq!(lone_surrogates(json).as_deref(), expected, "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_replaced_parses(text in "(\\\\\\\\|\\\\u[dD][89a-fA-F][0-9a-f]{2}|\\\\u00e9|x|é){0,12}") {
            let json = format!("[\"{text}\"]");
            let mended = lone_surrogates(&json).unwrap_or(json);
            let value: Json<'_> = serde_json::from_str(&mended).unwrap();
            proptest::prop_assert_eq!(owned(value.clone()), value);
        }
    }
}
