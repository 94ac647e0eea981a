//! `tidegate reload`: a running gateway reads its files again and says what came of it.

use std::io::Write as _;

use clap::Args;
use http::Method;

use super::client::ClientError;
use super::configuration::{Configuration, Gateway};
use super::{CliError, Process};
use crate::admin::control::{FileChange, ReloadView};
use crate::settings::Settings;

/// Options of `reload`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate reload --config /etc/tidegate/tidegate.toml\n  tidegate reload --admin http://127.0.0.1:9180\n\nThe gateway reads the files that it was started with. A file with a mistake changes nothing.\nIt also reloads by itself when a file changes (reload.watch_interval), and on SIGHUP."
)]
pub struct Arguments {
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    configuration: Configuration,
}

pub(super) fn run(arguments: &Arguments, process: &mut Process<'_>) -> Result<(), CliError> {
    // Where --admin says all, the settings may be the broken ones that the reload reports.
    let settings = match &arguments.gateway.admin {
        Some(_) => Settings::default(),
        None => arguments.configuration.settings(&process.environment)?,
    };
    let client = arguments.gateway.client(&settings)?;
    let answer: Result<ReloadView, _> = client.ask(Method::POST, "/admin/v1/reload", "");
    match answer {
        Ok(view) => report(&view, process),
        Err(ClientError::Refused { faults, .. }) if !faults.is_empty() => {
            for fault in &faults {
                writeln!(process.output, "{fault}")?;
            }
            let count = faults.len();
            Err(CliError::Mistakes { count })
        }
        Err(error) => Err(error.into()),
    }
}

fn report(view: &ReloadView, process: &mut Process<'_>) -> Result<(), CliError> {
    let output = &mut *process.output;
    for key in &view.changed {
        writeln!(output, "changed        {key}")?;
    }
    let parts = [
        ("the catalog", view.parts.catalog),
        ("the GeoIP databases", view.parts.geoip),
        ("the user agent data", view.parts.user_agents),
        ("the certificates", view.parts.certificates),
    ];
    for (part, change) in parts {
        if change == FileChange::Changed {
            writeln!(output, "changed        {part}")?;
        }
    }
    for key in &view.needs_restart {
        writeln!(output, "needs restart  {key}")?;
    }
    if !view.applied() {
        writeln!(output, "nothing else changed")?;
    }
    Ok(())
}
