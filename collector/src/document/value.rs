//! One value of a document or of the environment, and how it is taken as a type.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use toml_edit::{Item, Value};

use super::fault::Place;
use super::reader::Reader;
use super::reason::Reason;
use super::suggest::nearest;
use super::units;

/// A value that was found, with its place.
#[derive(Clone, Debug)]
pub struct Found<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) path: String,
    pub(super) place: Place,
    pub(super) source: Source<'r>,
}

/// Where the value comes from.
#[derive(Clone, Debug)]
pub(super) enum Source<'r> {
    /// A key of the document.
    Item(&'r Item),
    /// An element of one of its arrays.
    Element(&'r Value),
    /// A variable: its text, not parsed.
    Variable(&'r str),
    /// An element of a variable's list.
    Part(String),
}

impl<'r> Found<'r> {
    /// Its place.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The key's full path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Adds an error about it.
    pub fn fault(&self, reason: Reason) {
        self.reader.fault(self.place.clone(), &self.path, reason);
    }

    /// The literal's bytes in the document, quotes included; None for a variable.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        match &self.source {
            Source::Item(item) => item.span(),
            Source::Element(value) => value.span(),
            Source::Variable(_) | Source::Part(_) => None,
        }
    }

    /// As a text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let text = match &self.source {
            Source::Item(item) => item.as_str().map(str::to_owned),
            Source::Element(value) => value.as_str().map(str::to_owned),
            Source::Variable(text) => Some((*text).to_owned()),
            Source::Part(text) => Some(text.clone()),
        };
        self.or_wrong(text, "a text", "it in quotes")
    }

    /// As a text that is not empty.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.fault(Reason::Form {
                given: text,
                form: "a text with letters in it",
                example: "\"some-text\"",
            });
            return None;
        }
        Some(text)
    }

    /// As the text of a text, number or boolean.
    #[must_use]
    pub fn scalar(&self) -> Option<String> {
        let value = match &self.source {
            Source::Item(item) => item.as_value(),
            Source::Element(value) => Some(*value),
            Source::Variable(_) | Source::Part(_) => return self.text(),
        };
        let text = value.and_then(|value| match value {
            Value::String(text) => Some(text.value().clone()),
            Value::Integer(number) => Some(number.value().to_string()),
            Value::Float(number) => Some(number.value().to_string()),
            Value::Boolean(boolean) => Some(boolean.value().to_string()),
            Value::Datetime(_) | Value::Array(_) | Value::InlineTable(_) => None,
        });
        self.or_wrong(text, "a text", "it in quotes")
    }

    /// As true or false.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        let value = match &self.source {
            Source::Item(item) => item.as_bool(),
            Source::Element(value) => value.as_bool(),
            Source::Variable(text) => text.parse().ok(),
            Source::Part(text) => text.parse().ok(),
        };
        self.or_wrong(value, "true or false", "true or false, without quotes")
    }

    /// As a whole number within bounds.
    #[must_use]
    pub fn number<T: TryFrom<u64>>(&self, range: &RangeInclusive<u64>) -> Option<T> {
        let value = match &self.source {
            Source::Item(item) => item.as_integer(),
            Source::Element(value) => value.as_integer(),
            Source::Variable(text) => text.trim().parse().ok(),
            Source::Part(text) => text.trim().parse().ok(),
        };
        let value = self.or_wrong(value, "a whole number", "it without quotes")?;
        let given = u64::try_from(value).ok();
        self.within(
            given,
            range,
            || value.to_string(),
            |bound| bound.to_string(),
        )
    }

    /// As a length of time, in milliseconds.
    #[must_use]
    pub fn duration<T: TryFrom<u64>>(&self, range: &RangeInclusive<u64>) -> Option<T> {
        let text = self.quantity("a length of time such as \"30m\"")?;
        let Some(ms) = units::parse_duration(&text) else {
            self.fault(Reason::Duration {
                example: units::duration_meant(&text)
                    .unwrap_or_else(|| units::write_duration(*range.start())),
                given: text,
            });
            return None;
        };
        self.within(Some(ms), range, || text, units::write_duration)
    }

    /// As a size, in bytes.
    #[must_use]
    pub fn size<T: TryFrom<u64>>(&self, range: &RangeInclusive<u64>) -> Option<T> {
        let text = self.quantity("a size such as \"64MiB\"")?;
        let Some(bytes) = units::parse_size(&text) else {
            self.fault(Reason::Size {
                example: units::size_meant(&text)
                    .unwrap_or_else(|| units::write_size(*range.start())),
                given: text,
            });
            return None;
        };
        self.within(Some(bytes), range, || text, units::write_size)
    }

    /// As one of some words.
    #[must_use]
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            self.fault(Reason::Word {
                meant: nearest(&text, words.iter().map(|(word, _)| *word)),
                given: text,
                allowed: words.iter().map(|(word, _)| *word).collect(),
            });
        }
        found.map(|(_, value)| *value)
    }

    /// As an address with a port.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let given = self.text()?;
        let address = given.parse().ok();
        if address.is_none() {
            self.fault(Reason::Address { given });
        }
        address
    }

    /// As an address range: its network and the bits that count.
    #[must_use]
    pub fn network(&self) -> Option<(IpAddr, u8)> {
        let given = self.text()?;
        match parse_network(&given) {
            None => {
                self.fault(Reason::Network { given });
                None
            }
            Some((network, prefix, false)) => {
                let meant = format!("{network}/{prefix}");
                self.fault(Reason::NetworkBits { given, meant });
                None
            }
            Some((network, prefix, true)) => Some((network, prefix)),
        }
    }

    /// As a list; a variable's list is parted by commas.
    #[must_use]
    pub fn list(&self) -> Option<Vec<Self>> {
        let elements = match &self.source {
            Source::Item(item) => item.as_array(),
            Source::Element(value) => value.as_array(),
            Source::Variable(text) => return Some(self.parts(text)),
            Source::Part(_) => None,
        };
        let elements = self.or_wrong(elements, "a list", "[\"...\", \"...\"]")?;
        let elements = elements.iter().enumerate().map(|(i, value)| Found {
            reader: self.reader,
            path: format!("{}[{i}]", self.path),
            place: value.span().map_or_else(
                || self.place.clone(),
                |span| self.reader.document().place(span.start),
            ),
            source: Source::Element(value),
        });
        Some(elements.collect())
    }

    /// The elements of a list, or the one value that stands for a list of one.
    pub fn one_or_list(&self) -> Option<Vec<Self>> {
        let is_list = match &self.source {
            Source::Item(item) => item.is_array(),
            Source::Element(value) => value.is_array(),
            Source::Variable(_) | Source::Part(_) => false,
        };
        if is_list {
            self.list()
        } else {
            Some(vec![self.clone()])
        }
    }

    /// Adds the error that a table was expected here.
    pub(super) fn wrong_table(&self, expected: &'static str) {
        let example = match expected {
            "a table" => "it as a section of its own, in [brackets]",
            _ => "each entry as a section of its own, in [[double brackets]]",
        };
        let _: Option<()> = self.or_wrong(None, expected, example);
    }

    fn parts(&self, text: &str) -> Vec<Self> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let parts = parts.enumerate().map(|(i, part)| Self {
            reader: self.reader,
            path: format!("{}[{i}]", self.path),
            place: self.place.clone(),
            source: Source::Part(part.to_owned()),
        });
        parts.collect()
    }

    /// The text of a number with a unit; a number without a unit gets an error that lists the units.
    fn quantity(&self, expected: &'static str) -> Option<String> {
        match &self.source {
            Source::Item(item) if item.is_integer() => item.as_integer().map(|n| n.to_string()),
            Source::Item(_) | Source::Element(_) => {
                let text = match &self.source {
                    Source::Item(item) => item.as_str(),
                    Source::Element(value) => value.as_str(),
                    Source::Variable(_) | Source::Part(_) => None,
                };
                self.or_wrong(
                    text.map(str::to_owned),
                    expected,
                    "it in quotes, with its unit",
                )
            }
            Source::Variable(text) => Some((*text).to_owned()),
            Source::Part(text) => Some(text.clone()),
        }
    }

    fn within<T: TryFrom<u64>>(
        &self,
        value: Option<u64>,
        range: &RangeInclusive<u64>,
        given: impl FnOnce() -> String,
        write: impl Fn(u64) -> String,
    ) -> Option<T> {
        let fitting = value
            .filter(|value| range.contains(value))
            .and_then(|value| T::try_from(value).ok());
        if fitting.is_none() {
            self.fault(Reason::Range {
                given: given(),
                least: write(*range.start()),
                most: write(*range.end()),
            });
        }
        fitting
    }

    fn or_wrong<T>(
        &self,
        value: Option<T>,
        expected: &'static str,
        example: &'static str,
    ) -> Option<T> {
        if value.is_none() {
            let found = match &self.source {
                Source::Item(item) => type_name(item.type_name()),
                Source::Element(value) => type_name(value.type_name()),
                Source::Variable(_) | Source::Part(_) => "a text",
            };
            self.fault(Reason::WrongType {
                expected,
                found,
                example,
            });
        }
        value
    }
}

fn type_name(toml: &str) -> &'static str {
    match toml {
        "string" => "a text",
        "integer" => "a whole number",
        "float" => "a decimal number",
        "boolean" => "true or false",
        "datetime" => "a date",
        "array" => "a list",
        "array of tables" => "a list of tables",
        _ => "a table",
    }
}

/// Network, prefix, and whether no bit stands beyond the prefix (else the network has them cleared).
fn parse_network(text: &str) -> Option<(IpAddr, u8, bool)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let prefix = prefix.unwrap_or(32);
            let mask = u32::MAX.checked_shl(32u32.checked_sub(prefix.into())?);
            let network = address.to_bits() & mask.unwrap_or(0);
            Some((
                IpAddr::V4(network.into()),
                prefix,
                network == address.to_bits(),
            ))
        }
        IpAddr::V6(address) => {
            let prefix = prefix.unwrap_or(128);
            let mask = u128::MAX.checked_shl(128u32.checked_sub(prefix.into())?);
            let network = address.to_bits() & mask.unwrap_or(0);
            Some((
                IpAddr::V6(network.into()),
                prefix,
                network == address.to_bits(),
            ))
        }
    }
}
