//! No text makes the compiler panic, hang or lie about a place.

use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::sample::select;

use super::generate::Generator;
use super::support::sources;
use crate::compile;

const TOKENS: [&str; 44] = [
    "page",
    ".",
    "path",
    "properties",
    "count",
    "last",
    "then",
    "absent",
    "sum",
    "distinct",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&&",
    "||",
    "!",
    "==",
    "<",
    ">=",
    "in",
    "?",
    ":",
    "+",
    "-",
    "*",
    "/",
    "%",
    "\"a\"",
    "'b'",
    "\"30d\"",
    "1",
    "2.5",
    "now",
    "has",
    "size",
    "duration",
    "true",
    "null",
    "é",
    "\n",
];

/// Compiles it alone; whatever is wrong must be within the text.
fn told_within(text: &str) {
    let Err(errors) = compile(&sources(&[text])) else {
        return;
    };
    assert!(!errors.is_empty());
    let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
    for error in errors {
        let line = usize::try_from(error.line).unwrap();
        let column = usize::try_from(error.column).unwrap();
        assert!(line >= 1 && column >= 1, "{text:?}: {error}");
        assert!(line <= lines.len() + 1, "{text:?}: {error}");
        // The end of the text counts as a place, also where a line break was skipped before it.
        let longest = lines.iter().max().unwrap();
        assert!(column <= longest + 2, "{text:?}: {error}");
        assert!(!error.to_string().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_taken_or_refused(text in "\\PC{0,60}") {
        told_within(&text);
    }

    #[test]
    fn any_run_of_tokens_is_taken_or_refused(
        tokens in proptest::collection::vec(select(TOKENS.to_vec()), 0..30),
    ) {
        told_within(&tokens.join(" "));
    }

    #[test]
    fn a_damaged_expression_is_taken_or_refused(seed in any::<u64>(), at in any::<usize>(), len in 1_usize..4) {
        let text: Vec<char> = Generator::new(seed).condition(2).chars().collect();
        let start = at % text.len();
        let end = (start + len).min(text.len());
        let damaged: String = text[..start].iter().chain(&text[end..]).collect();
        told_within(&damaged);
    }
}
