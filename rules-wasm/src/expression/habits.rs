//! What people write who know SQL, Python or a spreadsheet, and how it is written here. Looks only at
//! the text around a syntax error; what parses is never looked at.

use super::parse::Located;
use crate::error::Mistake;

/// Words that stand where an operator belongs.
const WORDS: [(&str, &str); 11] = [
    ("and", "write && for \"and\""),
    ("or", "write || for \"or\""),
    ("is", "write == to compare"),
    ("like", CALL),
    ("contains", CALL),
    ("startsWith", CALL),
    ("starts", CALL),
    ("endsWith", CALL),
    ("ends", CALL),
    ("matches", CALL),
    (
        "between",
        "write two comparisons, as in price >= 5 && price <= 9",
    ),
];
const CALL: &str = "write a call, as in page.path.contains(\"pricing\")";

/// Replaces syntax errors by the first whose cause is known, with what to write instead.
pub(super) fn explained(text: &str, errors: Vec<Located>) -> Vec<Located> {
    let known = errors
        .iter()
        .filter(|(_, _, mistake)| matches!(mistake, Mistake::Syntax(_)))
        .find_map(|&(line, column, _)| Some((line, column, hint(text, line, column)?)));
    match known {
        Some((line, column, hint)) => vec![(line, column, Mistake::Syntax(hint.into()))],
        None => errors,
    }
}

fn hint(text: &str, line: u32, column: u32) -> Option<&'static str> {
    let line = text.lines().nth(line.saturating_sub(1) as usize)?;
    let at = column.saturating_sub(1) as usize;
    let (at, _) = line.char_indices().nth(at)?;
    let (before, rest) = line.split_at(at);
    let word = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let before_word = before.trim_end();
    let last = before_word
        .rsplit(|c: char| !c.is_ascii_alphanumeric())
        .next();
    if let Some((_, hint)) = WORDS
        .iter()
        .find(|(known, _)| word.eq_ignore_ascii_case(known))
    {
        return Some(hint);
    }
    if last.is_some_and(|last| last.eq_ignore_ascii_case("not")) {
        return Some("write ! for \"not\", as in !device.bot");
    }
    if rest.starts_with(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) {
        return Some("write straight quotes: \" or '");
    }
    if rest.starts_with("<>") || before.ends_with('<') && rest.starts_with('>') {
        return Some("write != for \"is not\"");
    }
    if rest.starts_with('=') || before.ends_with('=') && !before.ends_with("==") {
        return Some("write == to compare");
    }
    if rest.starts_with('&') || rest.starts_with('|') {
        return Some("write && for \"and\", || for \"or\"");
    }
    let unit = matches!(
        word,
        "d" | "h" | "m" | "s" | "ms" | "days" | "hours" | "minutes"
    );
    if unit && before_word.ends_with(|c: char| c.is_ascii_digit()) {
        return Some("write a duration in quotes, as in \"30d\"");
    }
    if rest.starts_with('/') && before_word.ends_with(['=', '(', ',']) {
        return Some("write a text in quotes, as in \"/pricing\"");
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::expression::{SegmentSource, compile};

    fn told(when: &str) -> Vec<String> {
        let source = SegmentSource {
            name: "a".to_owned(),
            when: when.to_owned(),
        };
        let errors = compile(&[source]).unwrap_err();
        errors
            .iter()
            .map(|error| error.message.to_string())
            .collect()
    }

    #[test]
    fn other_languages_habits_are_answered_with_what_to_write() {
        for (when, hint) in [
            ("device.bot and now > first(true)", "write && for \"and\""),
            ("device.bot OR device.bot", "write || for \"or\""),
            ("not device.bot", "write ! for \"not\""),
            ("page.path = \"/x\"", "write == to compare"),
            ("page.path === \"/x\"", "write == to compare"),
            ("page.path <> \"/x\"", "write != for"),
            ("page.path is \"/x\"", "write == to compare"),
            ("page.path contains \"x\"", "write a call"),
            ("page.path LIKE \"x%\"", "write a call"),
            ("page.path == \u{201c}/x\u{201d}", "write straight quotes"),
            ("page.path == /pricing", "write a text in quotes"),
            ("count(device.bot, 30d) >= 1", "write a duration in quotes"),
            (
                "count(device.bot, 30 days) >= 1",
                "write a duration in quotes",
            ),
            ("device.bot & device.bot", "write && for \"and\""),
        ] {
            let errors = told(when);
            assert!(
                errors.len() == 1 && errors[0].contains(hint),
                "{when}: {errors:?}"
            );
        }
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        assert!(told("page.path ==")[0].contains("end of text"));
        assert!(told("a b c")[0].contains("input"));
    }
}
