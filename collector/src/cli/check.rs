//! `tidegate check`: reads files as the gateway would and prints every mistake.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{CliError, Output, Process};
use crate::app::named_files::unusable;
use crate::catalog::caution as catalog_caution;
use crate::catalog::file::{Context, read as read_catalog};
use crate::document::{Document, Faults};
use crate::settings::Settings;
use crate::settings::caution::cautions;
use crate::settings::file::read_and_look;
use crate::settings::keys::KEYS;
use crate::settings::load::{LoadError, document};

/// Options of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate check tidegate.toml                    also checks the catalog that it names\n  tidegate check catalog.toml\n  tidegate check tidegate.toml catalog.toml       destinations against activation.allow_private too\n\nA file with [[source]], [[segment]] or [[destination]] is a catalog, any other is settings.\nThe files that settings name are read too: certificates with their keys, tokens, GeoIP databases,\nuser agent data.\nEvery mistake is printed as FILE:LINE:COLUMN: KEY: what is wrong; what to write.\nWhat is allowed and yet open to abuse is a warning, on standard error.\nExits 1 where there is a mistake."
)]
pub struct Arguments {
    /// Settings and catalog files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Leave the files that settings name alone, the catalog aside: they are on another machine
    #[arg(long)]
    without_files: bool,
}

pub(super) fn run(arguments: &Arguments, process: &mut Process<'_>) -> Result<(), CliError> {
    let mut documents = Vec::new();
    for path in &arguments.files {
        documents.push((path.clone(), document(path)?));
    }
    let mut checks = Checks {
        output: process.output,
        warnings: process.warnings,
        mistakes: 0,
    };
    let (mut catalogs, mut settings) = (Vec::new(), Vec::new());
    for (path, document) in documents {
        match Kind::of(&document) {
            Kind::Catalog => catalogs.push((path, document)),
            Kind::Settings => settings.push((path, document)),
            Kind::Mixed { catalog, setting } => checks.mixed(&document, &catalog, &setting)?,
        }
    }
    let look = |settings: &Settings| match arguments.without_files {
        true => Vec::new(),
        false => unusable(settings),
    };
    let mut read = None;
    let mut named = Vec::new();
    for (path, document) in &settings {
        let base = path.parent().unwrap_or(Path::new(""));
        let (found, faults) = read_and_look(document, &process.environment, base, look);
        // Its name may be right where another key is wrong.
        named.extend(found.catalog.clone());
        let what = match document.names().next() {
            Some(_) => "settings",
            None => "settings (the file is empty: every setting has its default)",
        };
        let found = checks.note(document, faults.or(found), what)?;
        for caution in found.iter().flat_map(cautions) {
            checks.warn(document, caution.key, caution.danger, caution.remedy)?;
        }
        read = found.or(read);
    }
    for (_, document) in &catalogs {
        checks.catalog(document, read.as_ref())?;
    }
    let given = |path: &PathBuf| catalogs.iter().any(|(other, _)| same_file(other, path));
    for path in named.iter().filter(|path| !given(path)) {
        match document(path) {
            Ok(document) => checks.catalog(&document, read.as_ref())?,
            Err(error) => checks.unreadable(&error)?,
        }
    }
    match checks.mistakes {
        0 => Ok(()),
        count => Err(CliError::Mistakes { count }),
    }
}

struct Checks<'o> {
    output: &'o mut Output,
    warnings: &'o mut Output,
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
        let Some(found) = self.note(document, found, "catalog")? else {
            return Ok(());
        };
        let sources = found.sources.unwrap_or_default();
        let destinations = found.destinations.unwrap_or_default();
        for one in catalog_caution::cautions(&sources, &destinations) {
            self.warn(document, &one.key, one.danger, one.remedy)?;
        }
        Ok(())
    }

    fn mixed(&mut self, document: &Document, catalog: &str, setting: &str) -> Result<(), CliError> {
        self.mistakes += 1;
        let name = document.name();
        Ok(writeln!(
            self.output,
            "{name}: holds {catalog} of a catalog and {setting} of settings; write them to two \
             files, and name the one with {catalog} by catalog = \"catalog.toml\" in the other"
        )?)
    }

    fn unreadable(&mut self, error: &LoadError) -> Result<(), CliError> {
        self.mistakes += 1;
        Ok(writeln!(self.output, "{error}")?)
    }

    fn warn(
        &mut self,
        document: &Document,
        key: &str,
        danger: &str,
        remedy: &str,
    ) -> Result<(), CliError> {
        let name = document.name();
        Ok(writeln!(
            self.warnings,
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

/// What a file is, by the names at its top level.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Settings,
    Catalog,
    /// Names of both.
    Mixed {
        catalog: String,
        setting: String,
    },
}

impl Kind {
    /// A file without a known table is taken for settings: its mistakes are the same.
    fn of(document: &Document) -> Self {
        let entry = |name: &&str| {
            let one = name.strip_suffix('s').unwrap_or(name);
            ["source", "segment", "destination"].contains(&one)
        };
        let of_settings = |name: &&str| {
            let tops = KEYS.iter().map(|key| key.path.split('.').next());
            tops.flatten().any(|top| top == *name)
        };
        let catalog = document.names().find(entry);
        let setting = document.names().find(of_settings);
        match (catalog, setting) {
            (Some(catalog), Some(setting)) => Self::Mixed {
                catalog: catalog.to_owned(),
                setting: setting.to_owned(),
            },
            (Some(_), None) => Self::Catalog,
            (None, _) => Self::Settings,
        }
    }
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
