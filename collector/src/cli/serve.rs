//! `tidegate serve` and `tidegate demo`: the commands that start a gateway.

use std::net::SocketAddr;

use clap::Args;
use tidegate_journal::Journal;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::configuration::Configuration;
use super::{CliError, Process};
use crate::app::Gateway;
use crate::catalog::Catalog;
use crate::clock::SystemClock;
use crate::demo;

/// Options of `serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate serve                                  on 127.0.0.1:8080, data in ./tidegate-data,\n                                                  one source with the write key \"demo\"\n  tidegate serve --config /etc/tidegate/tidegate.toml\n  TIDEGATE__EDGE__HTTP=0.0.0.0:8080 tidegate serve\n\nThen:\n  curl http://127.0.0.1:9180/readyz\n  curl http://127.0.0.1:8080/v1/events \\\n    -d '{\"writeKey\":\"demo\",\"type\":\"track\",\"event\":\"Hello\",\"anonymousId\":\"a-1\"}'\n\nSIGTERM and Ctrl-C finish what is in flight and exit 0."
)]
pub struct Arguments {
    /// Which settings.
    #[command(flatten)]
    pub configuration: Configuration,
}

pub(super) fn run(arguments: &Arguments, process: &Process<'_>) -> Result<(), CliError> {
    let settings = arguments.configuration.settings(&process.environment)?;
    runtime()?.block_on(async {
        let gateway = Gateway::start(settings, None).await.map_err(start)?;
        until_told(gateway).await
    })
}

pub(super) fn demo(options: &demo::Options, process: &mut Process<'_>) -> Result<(), CliError> {
    let output = &mut *process.output;
    runtime()?.block_on(async {
        demo::run(
            options,
            SystemClock::default(),
            async |settings, catalog: Catalog| Gateway::start(settings, Some(&catalog)).await,
            |addresses| output.text(addresses),
            told(),
        )
        .await
        .map_err(start)
    })
}

impl demo::Gateway for Gateway {
    fn http(&self) -> SocketAddr {
        self.http()
    }
    fn admin(&self) -> SocketAddr {
        self.admin()
    }
    fn journal(&self) -> &Journal {
        self.journal()
    }
    async fn stop(self) {
        self.stop().await;
    }
}

/// Resolves on SIGTERM or Ctrl-C.
async fn told() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("cannot listen for signals; only SIGKILL ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Runs until told to end or until the disk fails, then stops in order.
async fn until_told(gateway: Gateway) -> Result<(), CliError> {
    let failed = tokio::select! {
        () = told() => None,
        fatal = gateway.failed() => Some(fatal),
    };
    tracing::info!("stopping");
    let left = gateway.stop().await;
    tracing::info!(
        callbacks = left.callbacks,
        kafka_records = left.kafka_records,
        unwritten_state = left.unwritten_state,
        "stopped; what is left goes on with the next start"
    );
    failed.map_or(Ok(()), |fatal| Err(start(DiskFailed(fatal))))
}

fn runtime() -> Result<Runtime, CliError> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(start)
}

fn start(source: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Start {
        source: Box::new(source),
    }
}

/// The journal's disk failed while the gateway ran.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0}; nothing was acknowledged after that. Look after the disk, then start again: the journal recovers by itself"
)]
struct DiskFailed(tidegate_journal::Fatal);
