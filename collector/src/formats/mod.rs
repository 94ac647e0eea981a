//! Which formats a data directory holds. `FORMATS` in it names them, so that a build that does not
//! know one refuses the directory by name before it opens, and so changes, anything.
//!
//! A directory without that file is of release 0.1.0 or new. The stores' own numbers are checked
//! too: `FORMATS` may be missing, and a store may have been put there by hand.

mod file;
mod lines;
pub mod dead_letters;

use std::path::Path;

use fjall::Database;
use tidegate_event::record::PAYLOAD_VERSION;
use tidegate_journal::RealStorage;

use crate::{bad_rows, catalog, profile};

pub use file::{FILE, FormatsError};

/// One stored format: its name in `FORMATS`, and the newest version that this build reads and the
/// one that it writes.
type Format = (&'static str, u32);

/// Every stored format. A store with a new name needs a line here.
fn known() -> [Format; 8] {
    [
        ("journal", tidegate_journal::SEGMENT_FORMAT),
        ("records", u32::from(PAYLOAD_VERSION)),
        ("cursors", tidegate_journal::CURSORS_FORMAT),
        ("profiles", u32::from(profile::row::FORMAT)),
        ("outbox", u32::from(tidegate_activation::FORMAT)),
        ("catalog", catalog::store::FORMAT),
        (bad_rows::DIR, bad_rows::FORMAT),
        (dead_letters::DIR, dead_letters::FORMAT),
    ]
}

/// Checks that this build reads all that is in `data_dir`; writes nothing. Profiles and outbox are
/// known by the list only: see [`check_database`].
///
/// # Errors
/// [`FormatsError`]
pub fn check(data_dir: &Path) -> Result<(), FormatsError> {
    file::check(data_dir, &known())?;
    tidegate_journal::check_formats(data_dir, &RealStorage)?;
    catalog::store::check_format(data_dir)?;
    check_rows(data_dir, (bad_rows::DIR, bad_rows::FORMAT), bad_rows::FILES)?;
    let dead_letters = (dead_letters::DIR, dead_letters::FORMAT);
    check_rows(data_dir, dead_letters, dead_letters::FILES)
}

/// Checks that this build reads the profiles and the outbox in `database`; writes nothing.
///
/// # Errors
/// [`FormatsError`]
pub fn check_database(database: &Database) -> Result<(), FormatsError> {
    profile::store::check_format(database)?;
    tidegate_activation::check_format(database)?;
    Ok(())
}

fn check_rows(data_dir: &Path, known: Format, files: [&str; 2]) -> Result<(), FormatsError> {
    let (name, newest) = known;
    let path = data_dir.join(name);
    match lines::newest_version(&path, files) {
        Ok(Some(found)) if found > newest => Err(FormatsError::Newer {
            path,
            name: name.to_owned(),
            found,
            known: Some(newest),
        }),
        Ok(_) => Ok(()),
        Err(source) => Err(FormatsError::File { path, source }),
    }
}

/// Writes the formats of this build into `data_dir`, durably: before the first byte in one of them.
///
/// # Errors
/// [`FormatsError::File`]
pub fn raise(data_dir: &Path) -> Result<(), FormatsError> {
    file::write(data_dir, &known())
}

#[cfg(test)]
mod tests;
