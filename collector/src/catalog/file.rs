//! Reads `catalog.toml`: the entries of each kind, then their checks. The keys of an entry are read
//! in the module of its kind.

use super::entry::{CatalogEntry, Entry, unique};
use super::{Catalog, Destination, Segment, Source};
use crate::document::{Document, Environment, Faults, Reader, Reason, Section};
use crate::settings::Cidr;

/// A whole number of entries of each kind, at most: what one process is meant to hold.
pub const ENTRIES_MAX: usize = 10_000;

/// What a file says. A kind that the file does not name at all is None: it stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// `[[source]]`
    pub sources: Option<Vec<Source>>,
    /// `[[segment]]`
    pub segments: Option<Vec<Segment>>,
    /// `[[destination]]`
    pub destinations: Option<Vec<Destination>>,
}

/// What the file is held against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// The catalog in force; None where it is not known, so that nothing is asked of it.
    pub current: Option<&'a Catalog>,
    /// The private addresses that may be called; None where the settings are not known.
    pub allow_private: Option<&'a [Cidr]>,
}

/// Reads and checks a catalog.
///
/// # Errors
/// Every mistake of the document.
pub fn read(document: &Document, context: Context<'_>) -> Result<Declared, Faults> {
    let environment = Environment::new();
    let reader = Reader::new(document, &environment);
    let entries = read_entries(&reader);
    entries.sources.check(&entries, context, &reader);
    entries.segments.check(&entries, context, &reader);
    entries.destinations.check(&entries, context, &reader);
    let declared = Declared {
        sources: entries.sources.values(),
        segments: entries.segments.values(),
        destinations: entries.destinations.values(),
    };
    reader.finish().or(declared)
}

/// The entries of one kind, as read.
#[derive(Debug)]
pub(super) struct Group<T> {
    /// Without those that lack a required key; None where the file does not name the kind.
    pub(super) entries: Option<Vec<Entry<T>>>,
    /// Names of entries, those with mistakes too.
    pub(super) names: Vec<String>,
}

/// All entries as read.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) sources: Group<Source>,
    pub(super) segments: Group<Segment>,
    pub(super) destinations: Group<Destination>,
}

pub(super) fn read_entries(reader: &Reader<'_>) -> Entries {
    let root = reader.root();
    let entries = Entries {
        sources: Group::read(&root),
        segments: Group::read(&root),
        destinations: Group::read(&root),
    };
    root.finish();
    entries
}

impl<T: CatalogEntry> Group<T> {
    fn read(root: &Section<'_>) -> Self {
        let mut names = Vec::new();
        let sections = root.sections(T::KIND.as_str());
        let entries = sections.map(|sections| {
            if sections.len() > ENTRIES_MAX {
                root.fault(T::KIND.as_str(), too_many(sections.len()));
                return Vec::new();
            }
            let read = |section| T::read(section, &mut names);
            sections.into_iter().filter_map(read).collect()
        });
        Self { entries, names }
    }

    fn check(&self, all: &Entries, context: Context<'_>, reader: &Reader<'_>) {
        let entries = self.entries.as_deref().unwrap_or_default();
        unique(entries, reader);
        T::check(entries, all, context, reader);
    }

    fn values(self) -> Option<Vec<T>> {
        let entries = self.entries?;
        Some(entries.into_iter().map(|entry| entry.value).collect())
    }
}

fn too_many(entries: usize) -> Reason {
    Reason::Range {
        given: format!("{entries} entries"),
        least: "0".to_owned(),
        most: ENTRIES_MAX.to_string(),
    }
}
