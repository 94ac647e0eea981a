//! The file `FORMATS`: a heading, then a line `name version` for each format.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Format;
use crate::{catalog, profile};

/// Its name in the data directory.
pub const FILE: &str = "FORMATS";
const HEADING: &str = "tidegate formats 1";

/// Why a data directory is not opened.
#[derive(Debug, thiserror::Error)]
pub enum FormatsError {
    /// A later release wrote it.
    #[error(
        "{}: {name} has format {found}, and this build reads {}; nothing was changed. Run the \
         tidegate that wrote it, or a later one, or restore the backup made before the upgrade",
        path.display(), readable(*known)
    )]
    Newer {
        /// The list of formats, or the rows themselves.
        path: PathBuf,
        /// Which format.
        name: String,
        /// Its version there.
        found: u32,
        /// The newest that this build reads; None: it does not know this format.
        known: Option<u32>,
    },
    /// The list does not parse.
    #[error(
        "{}: line {line} is not a format's name and version; nothing was changed. Restore the file \
         from a backup; where no later tidegate has used this directory, delete the file",
        path.display()
    )]
    Damaged {
        /// The list of formats.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// The list cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The list of formats.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] tidegate_journal::OpenError),
    /// The catalog's store.
    #[error(transparent)]
    Catalog(#[from] catalog::store::StoreError),
    /// The profiles.
    #[error(transparent)]
    Profiles(#[from] profile::store::StoreError),
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] tidegate_activation::StoreError),
}

fn readable(known: Option<u32>) -> String {
    known.map_or_else(
        || "no format of this name".to_owned(),
        |known| format!("formats up to {known}"),
    )
}

/// Checks that every format in the list is known; fine where there is no list.
///
/// # Errors
/// [`FormatsError`]
pub(super) fn check(data_dir: &Path, known: &[Format]) -> Result<(), FormatsError> {
    let path = data_dir.join(FILE);
    let text = match std::fs::read(&path) {
        // What is no text is no format's line either.
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(FormatsError::File { path, source }),
    };
    let damaged = |line| FormatsError::Damaged {
        path: path.clone(),
        line,
    };
    let mut lines = text.lines().zip(1..);
    if lines.next().is_none_or(|(heading, _)| heading != HEADING) {
        return Err(damaged(1));
    }
    for (text, line) in lines {
        let (name, version) = text.split_once(' ').ok_or_else(|| damaged(line))?;
        let found: u32 = version.parse().map_err(|_| damaged(line))?;
        let known = known.iter().find(|known| known.0 == name);
        let known = known.map(|(_, version)| *version);
        if known.is_none_or(|known| found > known) {
            let name = name.to_owned();
            return Err(FormatsError::Newer {
                path,
                name,
                found,
                known,
            });
        }
    }
    Ok(())
}

/// Replaces the list where it says something else, atomically and durably.
///
/// # Errors
/// [`FormatsError::File`]
pub(super) fn write(data_dir: &Path, formats: &[Format]) -> Result<(), FormatsError> {
    let path = data_dir.join(FILE);
    let mut text = format!("{HEADING}\n");
    for (name, version) in formats {
        let _ = writeln!(text, "{name} {version}");
    }
    if std::fs::read_to_string(&path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let replace = || -> io::Result<()> {
        let next = data_dir.join("FORMATS.next");
        let mut file = File::create(&next)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&next, &path)?;
        File::open(data_dir)?.sync_all()
    };
    replace().map_err(|source| FormatsError::File {
        path: path.clone(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Format; 2] = [("journal", 1), ("profiles", 2)];

    fn said(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        check(dir.path(), &KNOWN).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn equal_and_earlier_formats_are_read() {
        assert_eq!(said("tidegate formats 1\njournal 1\nprofiles 1\n"), "");
        assert_eq!(said("tidegate formats 1\njournal 1\nprofiles 2\n"), "");
    }

    #[test]
    fn a_newer_or_unknown_format_is_named() {
        let newer = said("tidegate formats 1\nprofiles 3\n");
        assert!(
            newer.contains("profiles has format 3, and this build reads formats up to 2"),
            "{newer}"
        );
        let unknown = said("tidegate formats 1\nlake 1\n");
        assert!(unknown.contains("lake has format 1"), "{unknown}");
    }

    #[test]
    fn a_damaged_list_is_an_error() {
        for (text, line) in [
            ("", 1),
            ("tidegate formats 2\n", 1),
            ("tidegate formats 1\njournal\n", 2),
            ("tidegate formats 1\njournal 1\nprofiles two\n", 3),
        ] {
            assert!(
                said(text).contains(&format!("line {line} is not")),
                "{text}"
            );
        }
    }

    #[test]
    fn the_list_is_replaced_only_where_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &[("journal", 1)]).unwrap();
        write(dir.path(), &KNOWN).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, "tidegate formats 1\njournal 1\nprofiles 2\n");
        let written = || std::fs::metadata(dir.path().join(FILE)).unwrap().modified();
        let before = written().unwrap();
        write(dir.path(), &KNOWN).unwrap();
        assert_eq!(written().unwrap(), before);
    }
}
