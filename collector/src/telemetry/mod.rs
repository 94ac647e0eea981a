//! What the process says about itself: tracing events to standard error, as text for people and as
//! JSON where no terminal reads. What repeats too often is left out and counted. Spans and fields carry no personal data: no ids, no addresses of
//! visitors, no payloads. Traces of requests, where they are asked for, are [`traces`]' matter.

mod repeats;
mod panics;
#[cfg(feature = "otlp")]
pub mod traces;
#[cfg(any(not(feature = "otlp"), test))]
pub mod traces_absent;
mod traced;
pub(crate) mod scrape;
pub(crate) mod process;

#[cfg(not(feature = "otlp"))]
pub use traces_absent as traces;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock::SystemClock;
use crate::settings::{LogFormat, Telemetry};
pub use panics::log_panics;
use repeats::Repeats;

/// What is logged where nothing else is said. Libraries are heard when they warn.
pub const DEFAULT_FILTER: &str = "warn,tidegate_collector=info,tidegate_activation=info,\
                                  tidegate_journal=info,tidegate_rules_wasm=info";

/// Logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error(
        "cannot read the log filter {given:?}: {source}; write a level such as \"debug\", or \"info,tidegate_collector::edge=debug\""
    )]
    Filter {
        /// As given.
        given: String,
        /// What is wrong.
        source: tracing_subscriber::filter::ParseError,
    },
    /// A subscriber is set already.
    #[error("logging was started before")]
    Started,
}

/// Starts logging to standard error. `filter` is a level for Tidegate's own modules, or a list of
/// `module=level`.
///
/// # Errors
/// [`TelemetryError`]
pub fn start(filter: Option<&str>, settings: &Telemetry) -> Result<(), TelemetryError> {
    let filter = parse(filter)?;
    let repeats = Repeats::new(settings.log_repeats_max, SystemClock::default());
    let terminal = std::io::stderr().is_terminal();
    let text = match settings.log_format {
        Some(format) => format == LogFormat::Text,
        None => terminal,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter).with(repeats);
    let started = if text {
        let lines = lines.with_target(false).with_ansi(terminal);
        registry.with(lines).try_init()
    } else {
        registry.with(lines.json().flatten_event(true)).try_init()
    };
    started.map_err(|_| TelemetryError::Started)
}

fn parse(filter: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let given = filter.unwrap_or(DEFAULT_FILTER);
    // A bare level is meant for us, not for every library.
    let own = ["trace", "debug", "info", "warn", "error", "off"].contains(&given);
    let text = if own {
        DEFAULT_FILTER.replace("=info", &format!("={given}"))
    } else {
        given.to_owned()
    };
    EnvFilter::try_new(text).map_err(|source| TelemetryError::Filter {
        given: given.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_for_our_own_modules() {
        let filter = parse(Some("debug")).unwrap().to_string();
        assert!(filter.contains("tidegate_collector=debug"), "{filter}");
        assert!(!filter.contains("=info"), "{filter}");
        assert_eq!(
            parse(Some("off"))
                .unwrap()
                .max_level_hint()
                .unwrap()
                .to_string(),
            "warn"
        );
    }

    #[test]
    fn a_broken_filter_is_told_what_to_write() {
        let error = parse(Some("a=b=c=loud")).unwrap_err().to_string();
        assert!(error.contains("write a level"), "{error}");
    }
}
