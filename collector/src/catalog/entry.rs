//! What every kind of entry has: how it is read, checked and printed, and the word that it is stored
//! under. One module for each kind implements it; reading, merging, storing and printing a catalog go
//! through it.

use std::collections::HashMap;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::change::EntryKind;
use super::file::{Context, Entries};
use crate::document::{Place, Reader, Reason, Section};

/// A kind of entry. Its JSON is what the store holds.
pub(super) trait CatalogEntry: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The word of the file and the store.
    const KIND: EntryKind;

    /// Unique within the kind.
    fn name(&self) -> &str;

    /// Reads an entry; None where a required key is missing, which is noted. Its name goes to
    /// `names` all the same, for entries that refer to it.
    fn read(section: Section<'_>, names: &mut Vec<String>) -> Option<Entry<Self>>;

    /// Notes what the entries of this kind cannot mean, beside names that are used twice.
    fn check(entries: &[Entry<Self>], all: &Entries, context: Context<'_>, reader: &Reader<'_>);

    /// Prints the lines that it would be read from.
    fn write(&self, out: &mut String);
}

/// An entry with the places that later checks blame.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) value: T,
    /// Of its name.
    pub(super) name: Place,
    /// Of its other keys that checks look at.
    pub(super) parts: Vec<(&'static str, Place)>,
    /// The full path of the entry.
    pub(super) path: String,
    /// The literal of `when`.
    pub(super) literal: Option<Range<usize>>,
}

impl<T> Entry<T> {
    pub(super) fn fault(&self, key: &str, place: Place, reason: Reason, reader: &Reader<'_>) {
        reader.fault(place, &format!("{}{key}", self.path), reason);
    }

    pub(super) fn part(&self, key: &str) -> Place {
        self.part_at(key, 0)
    }

    /// The place of a key's value of this number, from 0; of the name where it has none.
    pub(super) fn part_at(&self, key: &str, at: usize) -> Place {
        let mut parts = self.parts.iter().filter(|(part, _)| *part == key);
        parts
            .nth(at)
            .map_or_else(|| self.name.clone(), |(_, place)| place.clone())
    }
}

/// The name of an entry, with its place.
pub(super) fn read_name(
    section: &Section<'_>,
    example: &'static str,
    names: &mut Vec<String>,
) -> Option<(String, Place)> {
    let found = section.require("name", example)?;
    let name = found.text()?;
    if is_name(&name) {
        names.push(name.clone());
        return Some((name, found.place().clone()));
    }
    found.fault(Reason::Form {
        given: name,
        form: "a name of 1 to 64 of a-z, 0-9, \".\", \"_\" and \"-\", the first a letter or digit",
        example: "\"pricing-interested\"",
    });
    None
}

fn is_name(name: &str) -> bool {
    let first = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(first)
        && name.bytes().all(|c| first(c) || b"._-".contains(&c))
}

/// Notes names that are used twice.
pub(super) fn unique<T: CatalogEntry>(entries: &[Entry<T>], reader: &Reader<'_>) {
    let mut first: HashMap<&str, u32> = HashMap::new();
    for entry in entries {
        let given = entry.value.name();
        let Some(first_line) = first.get(given) else {
            first.insert(given, line(&entry.name));
            continue;
        };
        let reason = Reason::Twice {
            given: given.to_owned(),
            what: "name",
            first_line: *first_line,
        };
        entry.fault("name", entry.name.clone(), reason, reader);
    }
}

/// The line of a place in the file; 0 elsewhere.
pub(super) fn line(place: &Place) -> u32 {
    match place {
        Place::File { line, .. } => *line,
        Place::Environment { .. } | Place::Defaults => 0,
    }
}
