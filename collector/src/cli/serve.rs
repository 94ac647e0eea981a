//! `tidegate serve` and `tidegate demo`: the commands that start a gateway.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tidegate_journal::Journal;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::configuration::Configuration;
use super::{CliError, Process, notify};
use crate::app::{Before, Gateway, Inherited, Launch, OpenFiles, Patience, Predecessor, Successor};
use crate::catalog::Catalog;
use crate::clock::SystemClock;
use crate::demo;
use crate::liveness::Report;
use crate::settings::caution;
use crate::telemetry;

/// Exit status where a thread or task panicked or ended (EX_SOFTWARE of sysexits.h).
const PART_LOST: i32 = 70;
/// After the end, so long for threads that still write a file.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Options of `serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate serve                                  on 127.0.0.1:8080, data in ./tidegate-data,\n                                                  one source with the write key \"demo\"\n  tidegate serve --config /etc/tidegate/tidegate.toml\n  TIDEGATE__EDGE__HTTP=0.0.0.0:8080 tidegate serve\n\nThen:\n  curl http://127.0.0.1:9180/readyz\n  curl http://127.0.0.1:8080/v1/events \\\n    -d '{\"writeKey\":\"demo\",\"type\":\"track\",\"event\":\"Hello\",\"anonymousId\":\"a-1\"}'\n\nSIGHUP, or a changed file, reloads settings, catalog and GeoIP databases.\nA restart without a refused connection: start the new binary with --take-over.\nSIGTERM and Ctrl-C finish what is in flight and exit 0."
)]
pub struct Arguments {
    /// Which settings.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Take over from the gateway that runs in the same data directory: its sockets stay open, it
    /// finishes and exits, and no connection is refused. Where none runs, just start
    #[arg(long)]
    pub take_over: bool,
}

pub(super) fn run(
    arguments: &Arguments,
    filter: Option<&str>,
    process: &Process<'_>,
) -> Result<(), CliError> {
    let origin = arguments.configuration.origin(&process.environment);
    let settings = origin.read()?;
    telemetry::start(filter, &settings.telemetry)?;
    telemetry::log_panics();
    if cfg!(feature = "mutant-without-sync") {
        tracing::error!(
            "ACKS ARE NOT DURABLE: this build leaves the journal's fdatasync out, for a test that \
             has to notice; never serve visitors with it"
        );
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    caution::warn(&settings);
    let (before, taken) = if arguments.take_over {
        match Predecessor::ask(&settings.data_dir).map_err(start)? {
            Some((predecessor, inherited)) => (Before::Runs(predecessor), Some(inherited)),
            None => (Before::Silent, None),
        }
    } else {
        (Before::NotAsked, None)
    };
    let passed = || Inherited::from_service_manager(&process.environment).map_err(start);
    let inherited = taken.map_or_else(passed, Ok)?;
    let launch = Launch {
        settings,
        origin: Some(origin),
        inherited,
        before,
        open_files: OpenFiles::raised(),
        after_look: Some(after_look),
        ..Launch::default()
    };
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let starting = tokio::spawn(Gateway::start(launch));
        tokio::select! {
            started = starting => {
                let gateway = started.map_err(start)?.map_err(start)?;
                until_told(gateway, signals).await
            }
            // Nothing was acknowledged yet, and whatever was opened survives a kill. Ending in
            // order would let the watcher take parts that end for parts that are lost.
            () = signals.end() => {
                tracing::info!("stopped before the start was complete");
                std::process::exit(0)
            }
        }
    });
    // What still blocks a thread then has outlasted the deadline.
    runtime.shutdown_timeout(LAST_PATIENCE);
    // Only now does the next process open what this one held.
    ended.map(drop)
}

pub(super) fn demo(options: &demo::Options, process: &mut Process<'_>) -> Result<(), CliError> {
    let output = &mut *process.output;
    runtime()?.block_on(async {
        demo::run(
            options,
            SystemClock::default(),
            async |settings, catalog: Catalog| {
                let catalog = Some(catalog);
                Gateway::start(Launch {
                    settings,
                    catalog,
                    open_files: OpenFiles::raised(),
                    after_look: Some(after_look),
                    ..Launch::default()
                })
                .await
            },
            |addresses| output.text(addresses),
            async {
                match Signals::listen() {
                    Ok(mut signals) => signals.end().await,
                    Err(error) => {
                        tracing::error!(%error, "only SIGKILL ends this process");
                        std::future::pending::<()>().await;
                    }
                }
            },
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
        let patience = Patience::of(&self.settings().drain);
        self.stop(patience).await;
    }
}

/// Feeds the service manager's watchdog while all moves on. Ends the process where a thread or task
/// is gone: what was acknowledged is in the journal, and the next start goes on from there.
fn after_look(report: &Report) {
    if report.lost().is_some() {
        // The watcher has logged which.
        std::process::exit(PART_LOST);
    }
    if report.is_healthy() {
        notify::alive();
    }
}

/// The signals that a gateway listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(start);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Resolves on the next SIGTERM or Ctrl-C.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Reloads on each SIGHUP until it has to end. The result of a reload is logged.
    async fn end_after_reloads(&mut self, gateway: &Gateway) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {}
            }
            notify::reloading();
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // What came of it is logged there.
                _reloaded = gateway.reload() => {}
            }
            notify::ready();
        }
    }
}

/// Why a gateway ends.
enum End {
    Signal,
    HandedOver(Successor),
    Failed(tidegate_journal::Fatal),
}

/// Runs until a signal, until a new process takes over, or until the disk fails; then stops in
/// order. Returns the process that waits for the end of this one.
async fn until_told(gateway: Gateway, mut signals: Signals) -> Result<Option<Successor>, CliError> {
    notify::ready();
    let end = tokio::select! {
        () = signals.end_after_reloads(&gateway) => End::Signal,
        successor = gateway.successor() => End::HandedOver(successor),
        fatal = gateway.failed() => End::Failed(fatal),
    };
    let drain = gateway.settings().drain.clone();
    let patience = match &end {
        // The service goes on, in another process.
        End::HandedOver(_) => Patience::handing_over(&drain),
        End::Signal | End::Failed(_) => {
            notify::stopping();
            Patience::of(&drain)
        }
    };
    if matches!(end, End::Signal) && drain.readiness_delay_ms > 0 {
        let delay_ms = drain.readiness_delay_ms;
        tracing::info!(delay_ms, "no longer ready; requests are still taken");
        gateway.announce_stop();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(delay_ms)) => {}
            () = signals.end() => tracing::info!("second signal: stopping at once"),
        }
    }
    tracing::info!("stopping");
    let left = gateway.stop(patience).await;
    tracing::info!(
        connections = left.connections,
        callbacks = left.callbacks,
        kafka_records = left.kafka_records,
        unwritten_state = left.unwritten_state,
        "stopped; what is left goes on with the next start"
    );
    match end {
        End::Signal => Ok(None),
        End::HandedOver(successor) => Ok(Some(successor)),
        End::Failed(fatal) => Err(CliError::DiskFailed(fatal)),
    }
}

/// Take few I/O events a tick (a tick is about 61 polls of tasks, and a request takes two). Requests
/// then wait in the kernel in order, and durable answers are not queued behind them.
const IO_EVENTS_PER_TICK: usize = 32;
/// What other threads wake stands in the runtime's shared queue; looked at first each time, an answer
/// does not wait behind new requests.
const GLOBAL_QUEUE_INTERVAL: u32 = 1;

fn runtime() -> Result<Runtime, CliError> {
    Builder::new_multi_thread()
        .max_io_events_per_tick(IO_EVENTS_PER_TICK)
        .global_queue_interval(GLOBAL_QUEUE_INTERVAL)
        .enable_all()
        .build()
        .map_err(start)
}

fn start(source: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Start {
        source: Box::new(source),
    }
}
