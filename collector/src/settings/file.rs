//! Reads settings from a document and the environment: every key, then the checks. All errors are
//! reported together.

use std::path::Path;

use super::change::{self, Changes};
use super::declare::Part as _;
use super::{Settings, check};
use crate::document::{Document, Environment, Faults, Reader, Reason};

/// Reads and checks settings; `base` is the folder that relative paths of the file start from.
///
/// # Errors
/// Every error of the document and of the variables.
pub fn read(
    document: &Document,
    environment: &Environment,
    base: &Path,
) -> Result<Settings, Faults> {
    let (settings, faults) = read_and_look(document, environment, base, |_| Vec::new());
    faults.or(settings)
}

/// A file that a setting names and that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The setting.
    pub key: &'static str,
    /// Which file, why, and what to do.
    pub error: String,
}

/// Like [`read`], with the errors of the files that `look` reads as well. A wrong value keeps its
/// default in the returned settings.
pub fn read_and_look(
    document: &Document,
    environment: &Environment,
    base: &Path,
    look: impl FnOnce(&Settings) -> Vec<Unusable>,
) -> (Settings, Faults) {
    let reader = Reader::new(document, environment);
    let settings = read_all(&reader, base);
    check::together(&settings, &reader);
    for Unusable { key, error } in look(&settings) {
        reader.fault_at(key, Reason::File { error });
    }
    (settings, reader.finish())
}

/// Reads and checks settings for a gateway that runs with `in_force`: the settings after a reload,
/// and what differs. `adjust` applies the options of the command line.
///
/// # Errors
/// Every error, also if the keys that change now conflict with those that wait for a restart.
pub fn read_over(
    document: &Document,
    environment: &Environment,
    base: &Path,
    in_force: &Settings,
    adjust: impl Fn(&mut Settings),
) -> Result<(Settings, Changes), Faults> {
    let mut read = read(document, environment, base)?;
    adjust(&mut read);
    let changes = change::between(in_force, &read);
    let next = change::merged(in_force, &read);
    let reader = Reader::new(document, environment);
    let _again = read_all(&reader, base);
    check::together(&next, &reader);
    reader.finish().or((next, changes))
}

/// Reads every key. A wrong value keeps its default and is an error in `reader`.
pub(super) fn read_all(reader: &Reader<'_>, base: &Path) -> Settings {
    let mut settings = Settings::default();
    let root = reader.root();
    settings.read(&root, base);
    root.finish();
    settings
}
