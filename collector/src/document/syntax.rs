//! Text to TOML, going on after broken lines so that one slip does not hide the others.

use std::ops::Range;

use toml_edit::TomlError;

use super::fault::{Fault, Place};
use super::position::Lines;
use super::reason::{Quotes, Reason};

/// Broken lines after which reading gives up.
const BROKEN_LINES_MAX: usize = 32;

/// A parsed document with its text.
#[derive(Debug)]
pub struct Document {
    name: String,
    text: String,
    lines: Lines,
    parsed: Option<toml_edit::Document<String>>,
    broken: Vec<Fault>,
}

impl Document {
    /// Reads `text`; `name` is what messages call it.
    #[must_use]
    pub fn parse(name: &str, text: &str) -> Self {
        let mut document = Self {
            name: name.to_owned(),
            text: text.to_owned(),
            lines: Lines::of(text),
            parsed: None,
            broken: Vec::new(),
        };
        let mut attempt = text.to_owned();
        let mut structure_intact = true;
        for _ in 0..BROKEN_LINES_MAX {
            match toml_edit::Document::parse(attempt.clone()) {
                Ok(parsed) => {
                    // Without a broken `[header]` line its keys would seem to be another table's.
                    document.parsed = structure_intact.then_some(parsed);
                    break;
                }
                Err(error) => {
                    let line = document.note(&error);
                    structure_intact &= !text[line.clone()].trim_start().starts_with('[');
                    if attempt[line.clone()].trim().is_empty() {
                        break;
                    }
                    attempt.replace_range(line.clone(), &" ".repeat(line.len()));
                }
            }
        }
        document
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text as given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names at the top level, in the order of the text; none where no table can be told.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.table().into_iter().flat_map(toml_edit::Table::iter);
        names.map(|(name, _)| name)
    }

    /// The place of byte `offset`.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        let (line, column) = self.lines.at(&self.text, offset);
        Place::File {
            file: self.name.clone(),
            line,
            column,
        }
    }

    pub(super) fn table(&self) -> Option<&toml_edit::Table> {
        self.parsed.as_ref().map(|parsed| parsed.as_table())
    }

    pub(super) fn broken(&self) -> &[Fault] {
        &self.broken
    }

    /// Notes a syntax error; returns the line it stands in.
    fn note(&mut self, error: &TomlError) -> Range<usize> {
        let offset = error.span().map_or(0, |span| span.start);
        // An error at a line's end is that line's, not the next one's.
        let offset = offset.min(self.text.len());
        let start = self.text[..offset].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[offset..]
            .find('\n')
            .map_or(self.text.len(), |at| offset + at);
        let line = start..end;
        self.broken.push(Fault {
            place: self.place(offset),
            key: String::new(),
            reason: Reason::Syntax {
                message: error.message().replace('\n', ", "),
                quotes: quotes(&self.text[line.clone()]),
            },
        });
        line
    }
}

/// Whether quotes would mend the value of `key = value`, and how it is written then.
fn quotes(line: &str) -> Quotes {
    let Some((_, value)) = line.split_once('=') else {
        return Quotes::Fine;
    };
    let value = value.trim();
    let word = value.split('#').next().unwrap_or("").trim();
    let bare = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    if !word.is_empty() && word.chars().all(bare) {
        return Quotes::Missing(format!("\"{word}\""));
    }
    if value.contains(['\'', '\\']) {
        return Quotes::Fine;
    }
    // As in when = "page.path == "/pricing"".
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if inner.contains('"') && !inner.contains("\"\"") => {
            Quotes::Inner(format!("'{inner}'"))
        }
        // As in when = page.path == "/pricing".
        None if value.starts_with(|c: char| c.is_ascii_alphabetic()) && value.contains('"') => {
            Quotes::Missing(format!("'{value}'"))
        }
        Some(_) | None => Quotes::Fine,
    }
}
