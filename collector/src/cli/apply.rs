//! `tidegate apply`: a catalog file to a running gateway, live in under a second.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use http::Method;

use super::check::{catalog_document, catalog_faults};
use super::client::ClientError;
use super::configuration::{Configuration, Gateway};
use super::{CliError, Process};
use crate::catalog::change::Applied;

/// Options of `apply`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate apply catalog.toml --dry-run           what it would change\n  tidegate apply catalog.toml                     change it, with no request dropped\n  tidegate apply catalog.toml --config /etc/tidegate/tidegate.toml\n\nThe file owns the kinds it declares: sources, segments, destinations. What left the file is\ndisabled, not deleted. A file with a mistake changes nothing."
)]
pub struct Arguments {
    /// The catalog file
    #[arg(value_name = "CATALOG")]
    catalog: PathBuf,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    configuration: Configuration,
}

pub(super) fn run(arguments: &Arguments, process: &mut Process<'_>) -> Result<(), CliError> {
    let document = catalog_document(&arguments.catalog)?;
    // Reported here with the file's own name; the gateway checks again, against what it has.
    let faults = catalog_faults(&document);
    if !faults.is_empty() {
        writeln!(process.output, "{faults}")?;
        let count = faults.len();
        return Err(CliError::Mistakes { count });
    }
    let settings = arguments.configuration.settings(&process.environment)?;
    let client = arguments.gateway.client(&settings)?;
    let path = if arguments.dry_run {
        "/admin/v1/catalog?dry_run=1"
    } else {
        "/admin/v1/catalog"
    };
    let applied: Result<Applied, _> = client.ask(Method::POST, path, document.text().to_owned());
    match applied {
        Ok(applied) => report(&applied, arguments.dry_run, process),
        Err(ClientError::Refused { faults, .. }) if !faults.is_empty() => {
            let name = document.name();
            for fault in &faults {
                let (line, column) = (fault.line, fault.column);
                let (key, message) = (&fault.key, &fault.message);
                writeln!(process.output, "{name}:{line}:{column}: {key}: {message}")?;
            }
            let count = faults.len();
            Err(CliError::Mistakes { count })
        }
        Err(error) => Err(error.into()),
    }
}

fn report(applied: &Applied, dry_run: bool, process: &mut Process<'_>) -> Result<(), CliError> {
    let output = &mut *process.output;
    for change in &applied.changes {
        let (done, kind) = (change.change.as_str(), change.kind.as_str());
        writeln!(output, "{done:<9} {kind} {}", change.name)?;
    }
    let generation = applied.generation;
    let digest = applied.digest.get(..12).unwrap_or(&applied.digest);
    let changes = match applied.changes.len() {
        0 => "no changes".to_owned(),
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    };
    if dry_run {
        writeln!(output, "{changes}; nothing applied (dry run)")?;
    } else {
        writeln!(
            output,
            "{changes}; generation {generation}, digest {digest}"
        )?;
    }
    Ok(())
}
