//! `tidegate rules`: segment expressions, without a gateway.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::check::{catalog_document, catalog_faults};
use super::{CliError, Process};

/// Options of `rules`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compile the segments of a catalog, or one expression
    #[command(
        after_help = "Examples:\n  tidegate rules check catalog.toml\n  tidegate rules check --when 'page.path.startsWith(\"/pricing\") && session.page_views >= 3'\n  tidegate rules check --when 'count(event.name == \"Order Completed\", \"30d\") >= 2'\n\nFields: event.name event.type page.path page.url properties.x traits.x session.page_views\n  geo.country device.class campaign.source source.name profile.user_id now\nOver time: count(COND, \"30d\") sum(NUMBER, COND, \"30d\") distinct(VALUE, COND, \"30d\")\n  last(COND) first(COND) then(A, B, \"20m\") absent(B, A, \"20m\")"
    )]
    Check(Check),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Check {
    /// The catalog file
    #[arg(value_name = "CATALOG")]
    catalog: Option<PathBuf>,
    /// One expression
    #[arg(long, value_name = "EXPRESSION")]
    when: Option<String>,
}

pub(super) fn run(arguments: &Arguments, process: &mut Process<'_>) -> Result<(), CliError> {
    let Command::Check(check) = &arguments.command;
    if let Some(when) = &check.when {
        return expression(when, process);
    }
    let Some(path) = &check.catalog else {
        return Ok(());
    };
    let document = catalog_document(path)?;
    let faults = catalog_faults(&document);
    if faults.is_empty() {
        writeln!(process.output, "{}: good", document.name())?;
        return Ok(());
    }
    writeln!(process.output, "{faults}")?;
    let count = faults.len();
    Err(CliError::Mistakes { count })
}

/// Checks one expression, with line and column within it.
fn expression(when: &str, process: &mut Process<'_>) -> Result<(), CliError> {
    let source = tidegate_rules_wasm::SegmentSource {
        name: "expression".to_owned(),
        when: when.to_owned(),
    };
    let Err(errors) = tidegate_rules_wasm::compile(&[source]) else {
        writeln!(process.output, "good")?;
        return Ok(());
    };
    for error in &errors {
        let (line, column) = (error.line, error.column);
        writeln!(process.output, "{line}:{column}: {}", error.message)?;
        let text = when.lines().nth(line.saturating_sub(1) as usize);
        writeln!(process.output, "  {}", text.unwrap_or(""))?;
        writeln!(process.output, "  {:>1$}", "^", column as usize)?;
    }
    let count = errors.len();
    Err(CliError::Mistakes { count })
}
