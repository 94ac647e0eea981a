//! Text of visitors on a terminal: characters that would steer it, or turn the reading direction,
//! are shown as JSON escapes. For text inside of JSON strings; a pipe gets the bytes as they are.

use std::borrow::Cow;

/// `line` with C1 controls and bidirectional formatting characters escaped (Unicode 16, UAX #9).
/// C0 controls are always escaped in JSON.
pub(super) fn harmless(line: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(line);
    if !text.chars().any(steers) {
        return Cow::Borrowed(line);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if steers(letter) {
            shown.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown.into_bytes())
}

const fn steers(letter: char) -> bool {
    matches!(
        letter,
        '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        let line = "{\"event\":\"a\u{9b}2J\u{202e}b\"}\n";
        let shown = harmless(line.as_bytes());
        assert_eq!(&*shown, b"{\"event\":\"a\\u009b2J\\u202eb\"}\n");
        assert!(serde_json::from_slice::<serde_json::Value>(&shown).is_ok());
        let plain = "{\"event\":\"Grüße, 世界\"}\n".as_bytes();
        assert!(matches!(harmless(plain), Cow::Borrowed(_)));
    }
}
