//! Which formats a data directory holds. `FORMATS` in it names them, so that a build that does not
//! know one refuses the directory by name before it opens, and so changes, anything.
//!
//! A directory without that file is of release 0.1.0 or new. The stores' own numbers are checked
//! too: `FORMATS` may be missing, and a store may have been put there by hand.

mod file;

use std::path::Path;

use tidegate_event::record::PAYLOAD_VERSION;
use tidegate_journal::RealStorage;

use crate::{catalog, profile};

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
        ("bad-rows", 1),
        ("kafka-dead-letters", 1),
    ]
}

/// Checks that this build reads all that is in `data_dir`; writes nothing. The profiles and the
/// outbox are checked when their database is open, before anything is written there.
///
/// # Errors
/// [`FormatsError`]
pub fn check(data_dir: &Path) -> Result<(), FormatsError> {
    file::check(data_dir, &known())?;
    tidegate_journal::check_formats(data_dir, &RealStorage)?;
    catalog::store::check_format(data_dir)?;
    Ok(())
}

/// Writes the formats of this build into `data_dir`, durably: before the first byte in one of them.
///
/// # Errors
/// [`FormatsError::File`]
pub fn raise(data_dir: &Path) -> Result<(), FormatsError> {
    file::write(data_dir, &known())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_read_again_by_the_build_that_raised_it() {
        let dir = tempfile::tempdir().unwrap();
        check(dir.path()).unwrap();
        raise(dir.path()).unwrap();
        check(dir.path()).unwrap();
    }

    #[test]
    fn each_format_has_one_name() {
        let mut names: Vec<_> = known().iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), known().len());
    }
}
