//! What a kind of destination declares: the keys of its catalog entry as plain data, and the two
//! functions that judge their values. The collector reads, prints and documents entries by the
//! keys; nothing here knows a file format.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::kind::DestinationKind;
use super::target::Target;
use crate::settings::Network;

/// A kind of destination.
pub struct Declaration {
    /// The word for it in catalogs and lists.
    pub name: &'static str,
    /// The line of an entry that names it.
    pub example: &'static str,
    /// What it is, for `docs/catalog.md`.
    pub documentation: &'static str,
    /// The keys of its entries, in the order in which they are read and stored.
    pub keys: &'static [Key],
    /// Checks the values of an entry. The private addresses that are allowed are None where the
    /// settings are not known: then addresses are not checked.
    pub(crate) check: Check,
    /// Entries that are allowed and yet open to abuse.
    pub(crate) cautions: fn(&DestinationKind) -> Vec<Caution>,
}

type Check = fn(&DestinationKind, Option<&[Network]>) -> Result<Arc<dyn Target>, Vec<KeyError>>;

impl fmt::Debug for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declaration")
            .field("name", &self.name)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// One key of an entry.
#[derive(Debug)]
pub struct Key {
    /// Its name in the catalog file.
    pub name: &'static str,
    /// Its name in stored catalogs and in answers of the admin API.
    pub stored: &'static str,
    /// Its type, bounds and default.
    pub form: Form,
    /// What it does, for `docs/catalog.md`.
    pub documentation: &'static str,
}

/// The type of a key.
#[derive(Debug)]
pub enum Form {
    /// A text. Required.
    Text {
        /// A line that would do.
        example: &'static str,
    },
    /// One secret, or a list of them with the current one first. Required. Never shown: not by the
    /// admin API, not in debug output, not in messages.
    Secrets {
        /// How many there may be.
        most: usize,
        /// The name of those after the first in stored catalogs.
        further: &'static str,
        /// A line that would do.
        example: &'static str,
        /// The message about a list that is empty or too long.
        count: &'static str,
    },
    /// A whole number.
    Number {
        /// Its bounds.
        range: RangeInclusive<u64>,
        /// Where it is not given.
        default: u64,
    },
    /// A length of time, in milliseconds.
    Duration {
        /// Its bounds.
        range: RangeInclusive<u64>,
        /// Where it is not given.
        default: u64,
    },
}

/// A value that its kind refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct KeyError {
    /// The key.
    pub key: &'static str,
    /// Which one of its values, from 0; a list of secrets has several.
    pub at: usize,
    /// What is wrong and what to write. Never shows the value.
    pub message: &'static str,
}

/// A value that is allowed and yet open to abuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caution {
    /// The key.
    pub key: &'static str,
    /// What it lets happen.
    pub danger: &'static str,
    /// What to write instead.
    pub remedy: &'static str,
}
