//! Masks a payload: structure and well-known member names stay, all else goes. Works on damaged JSON
//! as well, where it keeps less.

use super::vocabulary::is_known;

const MASK: &str = "***";

/// The longest value of an event's `type` that is kept.
const TYPE_BYTES_MAX: usize = 20;

/// At most `bytes_max` bytes of `payload`, every string value as `***`, every number as `0`; only the
/// event's own `type` stays where it is a short word. Where the payload is no JSON, keys cannot be told
/// from values and are masked as well.
pub(super) fn masked(payload: &[u8], is_json: bool, bytes_max: usize) -> String {
    let mut out = String::with_capacity(bytes_max.min(payload.len()));
    let mut rest = payload;
    let mut depth = 0_u32;
    // The value that comes next is that of the event's own `type`.
    let mut of_type = false;
    while let Some((&byte, after)) = rest.split_first() {
        if out.len() >= bytes_max {
            break;
        }
        rest = match byte {
            b'"' => {
                let (text, after) = string(after);
                let is_key = is_json && skip(after, |b| b.is_ascii_whitespace()).starts_with(b":");
                let kept = text.filter(|text| match is_key {
                    true => is_known(text),
                    false => of_type && is_short_word(text),
                });
                of_type = is_key && depth == 1 && text == Some("type");
                out.push('"');
                out.push_str(kept.unwrap_or(MASK));
                out.push('"');
                after
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {
                match byte {
                    b'{' | b'[' => (depth, of_type) = (depth.saturating_add(1), false),
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                out.push(char::from(byte));
                after
            }
            b' ' | b'\t' | b'\r' | b'\n' => after,
            b'-' | b'0'..=b'9' => {
                out.push('0');
                skip(after, |b| {
                    b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')
                })
            }
            _ => word(rest, &mut out),
        };
    }
    // Only a mask or a kept key can overrun, and both are ASCII.
    out.truncate(bytes_max);
    out
}

/// `true`, `false` and `null` stay; any other word becomes one `?`.
fn word<'a>(text: &'a [u8], out: &mut String) -> &'a [u8] {
    let rest = skip(text, |b| {
        !matches!(b, b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':')
    });
    let found = text[..text.len() - rest.len()].trim_ascii_end();
    out.push_str(match found {
        b"true" => "true",
        b"false" => "false",
        b"null" => "null",
        _ => "?",
    });
    rest
}

/// The string after its opening quote, None where it is no UTF-8, and what follows it.
fn string(text: &[u8]) -> (Option<&str>, &[u8]) {
    let mut end = 0;
    while end < text.len() && text[end] != b'"' {
        end += if text[end] == b'\\' { 2 } else { 1 };
    }
    let end = end.min(text.len());
    let rest = text.get(end + 1..).unwrap_or_default();
    (std::str::from_utf8(&text[..end]).ok(), rest)
}

/// A misspelt `trak` says what is wrong, and is nothing about a visitor.
fn is_short_word(text: &str) -> bool {
    (1..=TYPE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
}

fn skip(text: &[u8], mut while_true: impl FnMut(u8) -> bool) -> &[u8] {
    let end = text
        .iter()
        .position(|byte| !while_true(*byte))
        .unwrap_or(text.len());
    &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_go_and_structure_stays() {
        for (payload, is_json, expected) in [
            (
                r#"{"event": "x", "value": [1, -2.5e3, true, null], "context": {"Ada Lovelace": "y"}}"#,
                true,
                r#"{"event":"***","value":[0,0,true,null],"context":{"***":"***"}}"#,
            ),
            (r#"{"ada@example.com": 1}"#, true, r#"{"***":0}"#),
            (r#"{"+16505551212": 1}"#, true, r#"{"***":0}"#),
            (
                r#"{"quo\"te": "a\\", "name":""}"#,
                true,
                r#"{"***":"***","name":"***"}"#,
            ),
            (
                r#"{"a": "x" "secret": 1}"#,
                false,
                r#"{"***":"***""***":0}"#,
            ),
            (r#"{"a": ada@example.com, 5}"#, false, r#"{"***":?,0}"#),
            (r#"{"a": "never closed"#, false, r#"{"***":"***""#),
            ("hello my name is ada", false, "?"),
            ("", true, ""),
        ] {
            assert_eq!(
                masked(payload.as_bytes(), is_json, 1024),
                expected,
                "{payload}"
            );
        }
    }

    #[test]
    fn only_a_short_word_of_the_events_own_type_is_kept() {
        for (payload, expected) in [
            (
                r#"{"type":"trak","event":"x"}"#,
                r#"{"type":"trak","event":"***"}"#,
            ),
            (
                r#"{"type":"","event":"x"}"#,
                r#"{"type":"***","event":"***"}"#,
            ),
            (r#"{"type":"ada@example.com"}"#, r#"{"type":"***"}"#),
            (r#"{"type":"a_word_that_is_longer"}"#, r#"{"type":"***"}"#),
            (r#"{"type":["ada"]}"#, r#"{"type":["***"]}"#),
            (
                r#"{"type":null,"event":"ada"}"#,
                r#"{"type":null,"event":"***"}"#,
            ),
            (
                r#"{"traits":{"type":"ada"}}"#,
                r#"{"traits":{"type":"***"}}"#,
            ),
        ] {
            assert_eq!(
                masked(payload.as_bytes(), true, 1024),
                expected,
                "{payload}"
            );
        }
        assert_eq!(masked(br#"{"type":"trak""#, false, 1024), r#"{"***":"***""#);
    }

    #[test]
    fn invalid_utf8_and_control_bytes_become_question_marks() {
        assert_eq!(masked(b"{\xff\xfe\x00}", false, 1024), "{?}");
        assert_eq!(masked(b"{\"\xff\":1}", true, 1024), r#"{"***":0}"#);
    }

    proptest! {
        #[test]
        fn no_string_value_shines_through(
            value in "[A-Z]{4,20}", key in "(event|userId|price|page)", number in 1000u32..,
        ) {
            let payload = format!(r#"{{"{key}":"{value}","n":{number},"{value}":["{value}"]}}"#);
            let masked = masked(payload.as_bytes(), true, 1024);
            prop_assert!(!masked.contains(&value), "{}", masked);
            prop_assert!(!masked.contains(&number.to_string()), "{}", masked);
            prop_assert!(masked.contains(&key));
        }

        #[test]
        fn arbitrary_bytes_stay_within_the_limit(payload: Vec<u8>, is_json: bool) {
            prop_assert!(masked(&payload, is_json, 64).len() <= 64);
        }

        #[test]
        fn of_arbitrary_text_no_letter_survives_but_json_words(payload in "[ -~]{0,80}") {
            let masked = masked(payload.as_bytes(), false, 1024);
            let bare = masked.replace("true", "").replace("false", "").replace("null", "");
            prop_assert!(!bare.contains(|c: char| c.is_ascii_alphabetic()), "{}", masked);
        }
    }
}
