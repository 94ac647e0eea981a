//! Byte offsets to lines and columns, and offsets inside a decoded string back to the text of its
//! literal. Lines and columns count from 1; a column is a character, as editors count.

use std::ops::Range;

/// Bytes between two marks of [`Lines`].
const MARK_BYTES: usize = 1_024;

/// Finds the line and column of a byte. A large file has as many places as keys: none of them may
/// cost a look at the whole text.
#[derive(Debug)]
pub struct Lines {
    /// The first character at or after each multiple of [`MARK_BYTES`]: its offset, line and column.
    marks: Vec<(usize, u32, u32)>,
}

impl Lines {
    /// Of this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut marks = Vec::with_capacity(text.len() / MARK_BYTES + 1);
        let (mut line, mut column) = (1, 1);
        for (at, char) in text.char_indices() {
            while marks.len() * MARK_BYTES <= at {
                marks.push((at, line, column));
            }
            (line, column) = after(char, line, column);
        }
        Self { marks }
    }

    /// Line and column of byte `offset` in the same text; offsets past the end are the end.
    #[must_use]
    pub fn at(&self, text: &str, offset: usize) -> (u32, u32) {
        let offset = floor_char_boundary(text, offset);
        let mark = (offset / MARK_BYTES).min(self.marks.len().saturating_sub(1));
        let Some(&(start, line, column)) = self.marks.get(mark) else {
            return (1, 1);
        };
        let chars = text[start..offset].chars();
        chars.fold((line, column), |(line, column), char| {
            after(char, line, column)
        })
    }
}

/// Line and column after `char`.
const fn after(char: char, line: u32, column: u32) -> (u32, u32) {
    match char {
        '\n' => (line.saturating_add(1), 1),
        _ => (line, column.saturating_add(1)),
    }
}

/// Byte offset in `decoded` of a 1-based line and column in characters; the end where it has none.
#[must_use]
pub fn offset_of(decoded: &str, line: u32, column: u32) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match decoded[start..].find('\n') {
            Some(newline) => start += newline + 1,
            None => return decoded.len(),
        }
    }
    let skip = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    decoded[start..]
        .char_indices()
        .nth(skip)
        .map_or(decoded.len(), |(at, _)| start + at)
}

/// Where byte `wanted` of a decoded TOML string stands in `text`, whose string literal, quotes
/// included, covers `literal`.
#[must_use]
pub fn in_literal(text: &str, literal: Range<usize>, wanted: usize) -> usize {
    let raw = text.get(literal.clone()).unwrap_or("");
    let (open, escapes) = opening(raw);
    if !escapes {
        return (literal.start + open + wanted).min(literal.end);
    }
    let mut at = open;
    let mut decoded = 0;
    while decoded < wanted && at < raw.len() {
        let (taken, gave) = step(&raw[at..]);
        at += taken;
        decoded += gave;
    }
    // A line continuation gives nothing and stands before what is wanted.
    while raw[at..].starts_with('\\') && step(&raw[at..]).1 == 0 {
        at += step(&raw[at..]).0;
    }
    literal.start + at.min(raw.len())
}

/// Length of the opening quotes (with the newline that TOML trims) and whether escapes count.
fn opening(raw: &str) -> (usize, bool) {
    let multi = |quotes: &str, escapes| {
        let newline = match raw.as_bytes().get(3..) {
            Some([b'\r', b'\n', ..]) => 2,
            Some([b'\n', ..]) => 1,
            _ => 0,
        };
        raw.starts_with(quotes).then_some((3 + newline, escapes))
    };
    multi("'''", false)
        .or_else(|| multi("\"\"\"", true))
        .unwrap_or((1, !raw.starts_with('\'')))
}

/// One element of a basic string: bytes taken from the literal, bytes given to the value.
fn step(rest: &str) -> (usize, usize) {
    let mut chars = rest.chars();
    let first = chars.next().map_or(1, char::len_utf8);
    if !rest.starts_with('\\') {
        return (first, first);
    }
    let digits = match chars.next() {
        Some('u') => 4,
        Some('U') => 8,
        Some('x') => 2,
        Some(c) if c.is_whitespace() => {
            let kept = rest[1..].trim_start().len();
            return (rest.len() - kept, 0);
        }
        Some(c) => return (1 + c.len_utf8(), 1),
        None => return (1, 0),
    };
    let value = rest
        .get(2..2 + digits)
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .and_then(char::from_u32)
        .map_or(0, char::len_utf8);
    ((2 + digits).min(rest.len()), value)
}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
