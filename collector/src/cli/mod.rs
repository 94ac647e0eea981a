//! The commands of `tidegate`: arguments to settings to a running gateway, or to one question asked
//! of it. Every command says on failure what to do next and exits non-zero.

pub mod error;
pub mod output;
pub mod configuration;
pub mod client;
mod notify;
pub mod serve;
pub mod check;
pub mod apply;
pub mod reload;
pub mod rules;
pub mod destinations;
pub mod journal;
pub mod doctor;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use rustix::fs::Mode;
use rustix::process::umask;

use crate::demo;
use crate::document::Environment;
use crate::settings::Settings;
use crate::telemetry;

pub use error::CliError;
pub use output::Output;

/// Collects events at the edge, keeps sessions, decides segments and fires callbacks.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    about = "Real-time edge tag collector and activation gateway",
    after_help = "Start with:\n  tidegate demo                    a shop, a gateway and a live page, all on this machine\n  tidegate serve                   the gateway alone, on 127.0.0.1:8080\n  tidegate check tidegate.toml     what is wrong with a file, and where\n\nEvery command explains itself: tidegate COMMAND --help"
)]
struct Cli {
    /// What to log: a level (debug, info, warn), or module=level,...; TIDEGATE_LOG says the same
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Serve(serve::Arguments),
    /// Check settings and catalog files; prints every mistake with its line and column
    Check(check::Arguments),
    /// Show it all at work on this machine: a shop, an ad server and a live page
    #[command(
        after_help = "Opens nothing outside loopback, needs no set-up and leaves nothing behind. Ctrl-C ends it."
    )]
    Demo(demo::Options),
    /// Apply a catalog file to a running gateway
    Apply(apply::Arguments),
    /// Read settings, catalog, GeoIP databases and certificates of a running gateway again
    Reload(reload::Arguments),
    /// Check segment expressions
    Rules(rules::Arguments),
    /// See destinations, test and enable them, list and replay their dead letters
    Destinations(destinations::Arguments),
    /// Read the journal, see who follows it, repair it
    Journal(journal::Arguments),
    /// Look at this machine: disk, limits, clock, ports, certificate, Safari's cookie lifetime
    Doctor(doctor::Arguments),
}

/// What a command may use of the process.
#[derive(Debug)]
pub struct Process<'a> {
    /// The environment variables.
    pub environment: Environment,
    /// Where the command's answer goes.
    pub output: &'a mut Output,
    /// Where warnings go, which are no part of the answer.
    pub warnings: &'a mut Output,
}

/// Runs the command line; the exit code is 0 where it did what was asked, 1 where it could not, 2
/// where it did not understand.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    // Visitors' data is for this user only, whatever umask the process was started with.
    umask(Mode::RWXG | Mode::RWXO);
    let (output, warnings) = (&mut Output::stdout(), &mut Output::stderr());
    match execute(arguments, environment, output, warnings) {
        Ok(()) => ExitCode::SUCCESS,
        // `| head` has seen enough.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(CliError::Usage(error)) => {
            // To standard output with 0 for --help, to standard error with 2 for a mistake.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tidegate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command line with its answer going to `output` and its warnings to `warnings`.
///
/// # Errors
/// [`CliError`], a request for help among them.
pub fn execute(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
    output: &mut Output,
    warnings: &mut Output,
) -> Result<(), CliError> {
    let cli = parse(arguments)?;
    let done = dispatch(
        cli,
        Process {
            environment,
            output,
            warnings,
        },
    );
    // What was found stands before the error that sums it up.
    let flushed = warnings.flush().and(output.flush());
    done.and(flushed.map_err(CliError::Output))
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, CliError> {
    let matches = Cli::command().try_get_matches_from(arguments)?;
    Ok(Cli::from_arg_matches(&matches)?)
}

fn dispatch(cli: Cli, mut process: Process<'_>) -> Result<(), CliError> {
    let filter = cli
        .log
        .or_else(|| process.environment.get("TIDEGATE_LOG").cloned());
    match cli.command {
        Command::Serve(arguments) => serve::run(&arguments, filter.as_deref(), &process),
        Command::Demo(options) => {
            let filter = filter.as_deref().unwrap_or("warn");
            telemetry::start(Some(filter), &Settings::default().telemetry)?;
            serve::demo(&options, &mut process)
        }
        Command::Check(arguments) => check::run(&arguments, &mut process),
        Command::Apply(arguments) => apply::run(&arguments, &mut process),
        Command::Reload(arguments) => reload::run(&arguments, &mut process),
        Command::Rules(arguments) => rules::run(&arguments, &mut process),
        Command::Destinations(arguments) => destinations::run(&arguments, &mut process),
        Command::Journal(arguments) => journal::run(&arguments, &mut process),
        Command::Doctor(arguments) => doctor::run(&arguments, &mut process),
    }
}
