//! What applying a file changes: the file owns the kinds it declares, the rest stays.

use serde::{Deserialize, Serialize};

use super::Catalog;
use super::entry::CatalogEntry;
use super::file::Declared;

/// A kind of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Who may send.
    Source,
    /// What is decided.
    Segment,
    /// What is called.
    Destination,
}

impl EntryKind {
    /// The word of the file and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Segment => "segment",
            Self::Destination => "destination",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Source, Self::Segment, Self::Destination]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// What happened to one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryChange {
    /// It is new.
    Added,
    /// Its keys changed.
    Changed,
    /// It left the file.
    Disabled,
    /// It came back.
    Enabled,
}

impl EntryChange {
    /// The word for lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Of what kind.
    pub kind: EntryKind,
    /// Of what name.
    pub name: String,
    /// What happened to it.
    pub change: EntryChange,
}

/// The answer of an apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The catalog's generation: one more where anything changed.
    pub generation: u32,
    /// SHA-256 of the catalog's canonical text, hex.
    pub digest: String,
    /// What changed, sources first.
    pub changes: Vec<Change>,
}

/// The catalog after `declared`, and what that changes.
pub(super) fn merge(
    current: &Catalog,
    declared: &Declared,
    disabled: &[(EntryKind, String)],
) -> (Catalog, Vec<Change>) {
    let mut changes = Vec::new();
    let catalog = Catalog {
        sources: of_kind(
            &current.sources,
            declared.sources.as_deref(),
            disabled,
            &mut changes,
        ),
        segments: of_kind(
            &current.segments,
            declared.segments.as_deref(),
            disabled,
            &mut changes,
        ),
        destinations: of_kind(
            &current.destinations,
            declared.destinations.as_deref(),
            disabled,
            &mut changes,
        ),
        disabled_segments: disabled_segments(current, declared),
    };
    (catalog, changes)
}

/// Those disabled before and those that `declared` leaves out.
fn disabled_segments(current: &Catalog, declared: &Declared) -> Vec<String> {
    let known = current.segments.iter().map(|segment| &segment.name);
    let known = known.chain(&current.disabled_segments);
    let stays = declared.segments.as_deref().unwrap_or(&current.segments);
    let mut names: Vec<String> = known
        .filter(|name| stays.iter().all(|segment| segment.name != **name))
        .cloned()
        .collect();
    names.sort_unstable();
    names
}

fn of_kind<T: CatalogEntry>(
    current: &[T],
    declared: Option<&[T]>,
    disabled: &[(EntryKind, String)],
    changes: &mut Vec<Change>,
) -> Vec<T> {
    let Some(declared) = declared else {
        return current.to_vec();
    };
    let mut note = |entry: &T, change| {
        changes.push(Change {
            kind: T::KIND,
            name: entry.name().to_owned(),
            change,
        });
    };
    for entry in declared {
        let is_disabled =
            |(kind, name): &(EntryKind, String)| *kind == T::KIND && name == entry.name();
        match current.iter().find(|old| old.name() == entry.name()) {
            Some(old) if old == entry => {}
            Some(_) => note(entry, EntryChange::Changed),
            None if disabled.iter().any(is_disabled) => note(entry, EntryChange::Enabled),
            None => note(entry, EntryChange::Added),
        }
    }
    for old in current {
        if !declared.iter().any(|entry| entry.name() == old.name()) {
            note(old, EntryChange::Disabled);
        }
    }
    declared.to_vec()
}
