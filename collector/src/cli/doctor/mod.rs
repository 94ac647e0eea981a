//! `tidegate doctor`: looks at the machine that a gateway runs on, or will run on, and says what
//! will hurt it and what to do about that.
//!
//! Each file holds one check: what is measured, and apart from it a plain function that judges.
//! Nothing leaves the machine unless `--site` and `--collector` name hosts to look up.

pub mod finding;
pub mod filesystem;
pub mod sync;
pub mod descriptors;
pub mod time_of_day;
pub mod cautions;
pub mod ports;
pub mod udp;
pub mod token;
pub mod certificate;
pub mod host;
pub mod safari;

#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::configuration::Configuration;
use super::{CliError, Output, Process};
use crate::clock::SystemClock;
use crate::settings::Settings;
use finding::{Finding, Verdict};
use host::{Host, Target};

/// Options of `doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate doctor --config /etc/tidegate/tidegate.toml\n  tidegate doctor --cert cert.pem --key key.pem\n  tidegate doctor --site https://www.example.com --collector https://t.example.com\n                                  how long Safari will keep the visitor cookie; asks DNS for\n                                  both hosts and the site for its clock, nothing else\n\nRun it as the user, and with the limits, of the service. Each line is ok, warn, fail or, where\nit cannot be told from here, unknown. Exits 1 where one is fail."
)]
pub struct Arguments {
    /// Which settings
    #[command(flatten)]
    pub configuration: Configuration,
    /// A page of the site that carries the tag
    #[arg(long, value_name = "URL", requires = "collector")]
    site: Option<String>,
    /// Where the tag sends its hits
    #[arg(long, value_name = "URL", requires = "site")]
    collector: Option<String>,
    /// A certificate chain to look at, PEM
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The key of --cert, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Print JSON: one object with all findings
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, process: &mut Process<'_>) -> Result<(), CliError> {
    let settings = arguments.configuration.settings(&process.environment)?;
    let findings = examine(arguments, &settings)?;
    if arguments.json {
        let worst = findings.iter().map(|finding| finding.verdict).max();
        let report = json!({ "verdict": worst, "findings": findings });
        process.output.json(&report)?;
    } else {
        print(&findings, process.output)?;
    }
    let failed = |finding: &&Finding| finding.verdict == Verdict::Fail;
    match findings.iter().filter(failed).count() {
        0 => Ok(()),
        count => Err(CliError::Unfit { count }),
    }
}

fn examine(arguments: &Arguments, settings: &Settings) -> Result<Vec<Finding>, CliError> {
    let clock = SystemClock::default();
    // What is not made yet will stand where its nearest folder stands.
    let folder = existing(&settings.data_dir);
    let mut findings = vec![
        filesystem::kind(&folder),
        filesystem::space(&folder, settings),
        sync::latency(&folder, &clock),
        descriptors::limit(settings),
    ];
    findings.extend(cautions::findings(settings));
    findings.extend(cautions::of_catalog(settings));
    findings.extend(ports::free(settings));
    findings.extend(udp::socket(settings));
    findings.extend(token::file(settings.admin.token_file.as_deref()));
    let mut reference = None;
    if let (Some(site), Some(collector)) = (&arguments.site, &arguments.collector) {
        let (site, collector) = (Target::parse(site)?, Target::parse(collector)?);
        reference = Some(time_of_day::ask(&site, &clock));
        findings.push(safari::cookie(
            Host::look_up(&site),
            Host::look_up(&collector),
        ));
    }
    findings.push(time_of_day::clock(&settings.data_dir, reference, &clock));
    let collector = arguments.collector.as_deref();
    let collector = collector.map(Target::parse).transpose()?;
    findings.extend(certificate::listener(settings, collector.as_ref(), &clock));
    if let Some(tls) = &settings.admin.tls {
        findings.extend(certificate::files(&tls.cert, Some(&tls.key), None, &clock));
    }
    if let Some(cert) = &arguments.cert {
        let (key, name) = (arguments.key.as_deref(), collector.as_ref());
        findings.extend(certificate::files(cert, key, name, &clock));
    }
    Ok(findings)
}

/// The nearest folder that is there.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|path| path.is_dir());
    match found {
        Some(found) if !found.as_os_str().is_empty() => found.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn print(findings: &[Finding], output: &mut Output) -> std::io::Result<()> {
    for finding in findings {
        let verdict = finding.verdict.to_string();
        writeln!(
            output,
            "{verdict:<7}  {:<15}  {}",
            finding.check, finding.found
        )?;
        if let Some(next) = &finding.next {
            writeln!(output, "{:<26}-> {next}", "")?;
        }
    }
    Ok(())
}
