//! Settings from a file on disk.

use std::path::{Path, PathBuf};

use super::{Settings, file};
use crate::document::{Document, Environment, Faults};

/// Bytes of a settings or catalog file, at most.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file, or a variable, has mistakes.
    #[error("{0}")]
    Faults(Faults),
}

/// Reads the settings of `path` (None: the defaults) under `environment`.
///
/// # Errors
/// [`LoadError`]
pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Settings, LoadError> {
    let (document, base) = match path {
        Some(path) => (document(path)?, path.parent().unwrap_or(Path::new(""))),
        None => (Document::parse("settings", ""), Path::new("")),
    };
    file::read(&document, environment, base).map_err(LoadError::Faults)
}

/// Reads a document of at most [`FILE_BYTES_MAX`].
///
/// # Errors
/// [`LoadError::Unreadable`]
pub fn document(path: &Path) -> Result<Document, LoadError> {
    let text = read_bounded(path).map_err(|source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Ok(Document::parse(&path.display().to_string(), &text))
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}
