//! A second pass over a body that is no UTF-8 or no JSON. These affect only the event that contains
//! them: bytes that are not UTF-8, raw control characters in a string, words that are no JSON value
//! (`NaN`, `Infinity`, `undefined`, `True`, `.5`) and a comma before a closing bracket. A good
//! body never comes here.

use serde::de::IgnoredAny;

use super::error::DecodeError;

/// Faults noted of one body; more are beyond help.
const FAULTS_MAX: usize = 10_000;

/// The body as JSON text, something harmless in place of what is none.
#[derive(Debug)]
pub struct Salvaged {
    text: String,
    /// In the order of the text.
    faults: Vec<Fault>,
}

/// One replaced place.
#[derive(Clone, Copy, Debug)]
struct Fault {
    at: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NotText,
    NotJson,
}

impl Salvaged {
    /// None where the body has no such fault, or too many.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Self> {
        let mut scan = Scan {
            salvaged: Self {
                text: String::with_capacity(body.len()),
                faults: Vec::new(),
            },
            strings: Strings::default(),
            word: None,
            comma: None,
        };
        for chunk in body.utf8_chunks() {
            for character in chunk.valid().chars() {
                scan.take(character)?;
            }
            if !chunk.invalid().is_empty() {
                scan.salvaged
                    .replace(char::REPLACEMENT_CHARACTER, Kind::NotText)?;
            }
        }
        scan.end_word()?;
        let salvaged = scan.salvaged;
        (!salvaged.faults.is_empty()).then_some(salvaged)
    }

    fn replace(&mut self, by: char, kind: Kind) -> Option<()> {
        self.note(self.text.len(), kind)?;
        self.text.push(by);
        Some(())
    }

    fn note(&mut self, at: usize, kind: Kind) -> Option<()> {
        self.faults.push(Fault { at, kind });
        (self.faults.len() <= FAULTS_MAX).then_some(())
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How many faults the part of the text has that `raw` is, and the first of them as an error.
    pub(crate) fn faults_of(&self, raw: &str) -> (usize, Option<DecodeError>) {
        let begin = (raw.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let below = |end| self.faults.partition_point(|fault| fault.at < end);
        let own = &self.faults[below(begin)..below(begin + raw.len())];
        let first = own.first().map(|fault| {
            let at = fault.at - begin;
            match fault.kind {
                Kind::NotText => DecodeError::NotText { at },
                Kind::NotJson => DecodeError::NotJson { at },
            }
        });
        (own.len(), first)
    }

    /// True where that is every fault there is.
    pub(crate) fn is_all(&self, faults: usize) -> bool {
        self.faults.len() == faults
    }
}

/// The pass over the characters.
struct Scan {
    salvaged: Salvaged,
    strings: Strings,
    /// Where the word begins that is being read.
    word: Option<usize>,
    /// Where the last token stands, if it is a comma.
    comma: Option<usize>,
}

impl Scan {
    fn take(&mut self, character: char) -> Option<()> {
        let at = self.salvaged.text.len();
        if self.strings.holds(character) {
            if character.is_ascii_control() && character != '\x7f' {
                return self.salvaged.replace(' ', Kind::NotText);
            }
        } else if matches!(character, '{' | '}' | '[' | ']' | ',' | ':' | '"') {
            self.end_word()?;
            if matches!(character, '}' | ']')
                && let Some(comma) = self.comma
            {
                self.salvaged.note(comma, Kind::NotJson)?;
                self.salvaged.text.replace_range(comma..=comma, " ");
            }
            self.comma = (character == ',').then_some(self.salvaged.text.len());
        } else if matches!(character, ' ' | '\t' | '\r' | '\n') {
            self.end_word()?;
        } else {
            self.comma = None;
            self.word.get_or_insert(at);
        }
        self.salvaged.text.push(character);
        Some(())
    }

    /// A word that JSON does not know becomes null.
    fn end_word(&mut self) -> Option<()> {
        let Some(at) = self.word.take() else {
            return Some(());
        };
        let Salvaged { text, faults } = &mut self.salvaged;
        if at == 0 || serde_json::from_str::<IgnoredAny>(&text[at..]).is_ok() {
            return Some(());
        }
        text.truncate(at);
        text.push_str("null");
        // What is wrong inside of it is part of it.
        while faults.last().is_some_and(|fault| fault.at >= at) {
            faults.pop();
        }
        self.salvaged.note(at, Kind::NotJson)
    }
}

/// Which characters of a JSON text stand in a string.
#[derive(Default)]
struct Strings {
    open: bool,
    escaped: bool,
}

impl Strings {
    fn holds(&mut self, next: char) -> bool {
        let inside = self.open;
        match next {
            _ if self.escaped => self.escaped = false,
            '\\' => self.escaped = self.open,
            '"' => self.open = !self.open,
            _ => {}
        }
        inside
    }
}
