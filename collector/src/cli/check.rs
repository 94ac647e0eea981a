//! `tidegate check`: reads files as the gateway would and prints every mistake.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{CliError, Output, Process};
use crate::catalog::file::{Context, read as read_catalog};
use crate::document::{Document, Faults};
use crate::settings::caution::{Caution, cautions};
use crate::settings::load::{LoadError, document};
use crate::settings::{Settings, file::read as read_settings};

/// Options of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate check tidegate.toml                    also checks the catalog that it names\n  tidegate check catalog.toml\n  tidegate check tidegate.toml catalog.toml       destinations against activation.allow_private too\n\nA file with [[source]], [[segment]] or [[destination]] is a catalog, any other is settings.\nEvery mistake is printed as FILE:LINE:COLUMN: KEY: what is wrong; what to write.\nWhat is allowed and yet open to abuse is a warning. Exits 1 where there is a mistake."
)]
pub struct Arguments {
    /// Settings and catalog files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, process: &mut Process<'_>) -> Result<(), CliError> {
    let mut documents = Vec::new();
    for path in &arguments.files {
        documents.push((path.clone(), document(path)?));
    }
    let (catalogs, settings): (Vec<_>, Vec<_>) = documents
        .into_iter()
        .partition(|(_, document)| is_catalog(document));
    let mut checks = Checks {
        output: process.output,
        mistakes: 0,
    };
    let mut read = None;
    let mut named = Vec::new();
    for (path, document) in &settings {
        let base = path.parent().unwrap_or(Path::new(""));
        let found = read_settings(document, &process.environment, base);
        let found = checks.note(document, found, "settings")?;
        for caution in found.iter().flat_map(cautions) {
            checks.warn(document, caution)?;
        }
        named.extend(found.as_ref().and_then(|settings| settings.catalog.clone()));
        read = found.or(read);
    }
    for (_, document) in &catalogs {
        checks.catalog(document, read.as_ref())?;
    }
    let given = |path: &PathBuf| catalogs.iter().any(|(other, _)| same_file(other, path));
    for path in named.iter().filter(|path| !given(path)) {
        checks.catalog(&document(path)?, read.as_ref())?;
    }
    match checks.mistakes {
        0 => Ok(()),
        count => Err(CliError::Mistakes { count }),
    }
}

struct Checks<'o> {
    output: &'o mut Output,
    mistakes: usize,
}

impl Checks<'_> {
    fn catalog(
        &mut self,
        document: &Document,
        settings: Option<&Settings>,
    ) -> Result<(), CliError> {
        let context = Context {
            current: None,
            allow_private: settings.map(|settings| settings.activation.allow_private.as_slice()),
        };
        let found = read_catalog(document, context);
        self.note(document, found, "catalog").map(|_| ())
    }

    fn warn(&mut self, document: &Document, caution: Caution) -> Result<(), CliError> {
        let (name, key) = (document.name(), caution.key);
        let Caution { danger, remedy, .. } = caution;
        Ok(writeln!(
            self.output,
            "{name}: warning: {key}: {danger}; {remedy}"
        )?)
    }

    fn note<T>(
        &mut self,
        document: &Document,
        found: Result<T, Faults>,
        what: &str,
    ) -> Result<Option<T>, CliError> {
        match found {
            Ok(value) => {
                writeln!(self.output, "{}: good {what}", document.name())?;
                Ok(Some(value))
            }
            Err(faults) => {
                self.mistakes += faults.len();
                writeln!(self.output, "{faults}")?;
                Ok(None)
            }
        }
    }
}

/// A catalog's sections stand at the start of a line, in double brackets or as a list.
pub(super) fn is_catalog(document: &Document) -> bool {
    document.text().lines().any(|line| {
        let line = line.trim_start();
        let name = line.trim_start_matches('[').trim_start();
        let ours = ["source", "segment", "destination"];
        let own = ours.iter().find_map(|kind| name.strip_prefix(kind));
        own.is_some_and(|rest| {
            let rest = rest.trim_start_matches('s').trim_start();
            (line.starts_with("[[") && rest.starts_with(']'))
                || (!line.starts_with('[') && rest.starts_with('='))
        })
    })
}

/// Reads one catalog on its own; for commands that send it somewhere.
pub(super) fn catalog_document(path: &Path) -> Result<Document, LoadError> {
    document(path)
}

/// The faults of a catalog whose segments, sources and settings are not known here.
pub(super) fn catalog_faults(document: &Document) -> Faults {
    read_catalog(document, Context::default())
        .err()
        .unwrap_or_default()
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
