//! Settings from a file on disk.

use std::path::{Path, PathBuf};

use super::change::Changes;
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
    let (document, base) = opened(path)?;
    file::read(&document, environment, base).map_err(LoadError::Faults)
}

/// Where a gateway's settings come from, so that they can be read again while it runs.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The settings file; None: the defaults.
    pub config: Option<PathBuf>,
    /// Variables that override it.
    pub environment: Environment,
    /// `--data-dir`, which overrides both.
    pub data_dir: Option<PathBuf>,
}

impl Origin {
    /// Reads the settings, as at start.
    ///
    /// # Errors
    /// [`LoadError`]
    pub fn read(&self) -> Result<Settings, LoadError> {
        let mut settings = load(self.config.as_deref(), &self.environment)?;
        self.adjust(&mut settings);
        Ok(settings)
    }

    /// Reads the settings for a gateway that runs by `in_force`: what it would run by from now on,
    /// and what differs.
    ///
    /// # Errors
    /// [`LoadError`]
    pub fn read_over(&self, in_force: &Settings) -> Result<(Settings, Changes), LoadError> {
        let (document, base) = opened(self.config.as_deref())?;
        let adjust = |settings: &mut Settings| self.adjust(settings);
        file::read_over(&document, &self.environment, base, in_force, adjust)
            .map_err(LoadError::Faults)
    }

    fn adjust(&self, settings: &mut Settings) {
        if let Some(data_dir) = &self.data_dir {
            settings.data_dir.clone_from(data_dir);
        }
    }
}

fn opened(path: Option<&Path>) -> Result<(Document, &Path), LoadError> {
    Ok(match path {
        Some(path) => (document(path)?, path.parent().unwrap_or(Path::new(""))),
        None => (Document::parse("settings", ""), Path::new("")),
    })
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
