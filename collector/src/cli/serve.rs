//! `tidegate serve` and `tidegate demo`: the commands that start a gateway.

use clap::Args;

use super::configuration::Configuration;
use super::{CliError, Process};
use crate::demo;

/// Options of `serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate serve                                  on 127.0.0.1:8080, data in ./tidegate-data,\n                                                  one source with the write key \"demo\"\n  tidegate serve --config /etc/tidegate/tidegate.toml\n  TIDEGATE__EDGE__HTTP=0.0.0.0:8080 tidegate serve\n\nThen:\n  curl http://127.0.0.1:9180/readyz\n  curl 'http://127.0.0.1:8080/v1/events' -d '{\"writeKey\":\"demo\",\"type\":\"track\",\"event\":\"Hello\",\"anonymousId\":\"a-1\"}'\n\nSIGTERM and Ctrl-C finish what is in flight and exit 0."
)]
pub struct Arguments {
    /// Which settings.
    #[command(flatten)]
    pub configuration: Configuration,
}

pub(super) fn run(arguments: &Arguments, process: &Process<'_>) -> Result<(), CliError> {
    let settings = arguments.configuration.settings(&process.environment)?;
    let _ = settings;
    Err(NotJoined.into())
}

pub(super) fn demo(options: &demo::Options) -> Result<(), CliError> {
    let _ = options;
    Err(NotJoined.into())
}

/// The gateway's parts are not joined in this build.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the gateway's parts are not joined in this build")]
struct NotJoined;

impl From<NotJoined> for CliError {
    fn from(source: NotJoined) -> Self {
        Self::Start {
            source: Box::new(source),
        }
    }
}
