//! The demo from start to Ctrl-C, around a gateway that the caller knows how to start.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use tidegate_journal::{Journal, ReadError};

use super::stage::{Options, Stage, StageError};
use super::tail;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::settings::Settings;

/// What the demo asks of a running gateway.
pub trait Gateway: Send {
    /// Where the edge listens.
    fn http(&self) -> SocketAddr;
    /// Where the admin listener is.
    fn admin(&self) -> SocketAddr;
    /// What it writes.
    fn journal(&self) -> &Journal;
    /// Finishes what is in flight and ends.
    fn stop(self) -> impl Future<Output = ()> + Send;
}

/// Why the demo did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DemoError<E: std::error::Error + 'static> {
    /// Ports or directory.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The gateway did not start.
    #[error(transparent)]
    Gateway(E),
    /// The addresses could not be printed.
    #[error("cannot write the demo's addresses: {0}")]
    Output(io::Error),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The gateway ended by itself.
    #[error("the gateway's journal ended; the log above says why")]
    Ended,
}

/// Starts the gateway with `start`, tells the addresses to `say`, and plays until `until`.
///
/// # Errors
/// [`DemoError`].
pub async fn run<G: Gateway, E: std::error::Error + 'static>(
    options: &Options,
    clock: impl Clock + Clone,
    start: impl AsyncFnOnce(Settings, Catalog) -> Result<G, E>,
    say: impl FnOnce(&str) -> io::Result<()>,
    until: impl Future<Output = ()>,
) -> Result<(), DemoError<E>> {
    let stage = Stage::set(options).await?;
    let started = start(stage.settings(), stage.catalog()).await;
    let gateway = started.map_err(DemoError::Gateway)?;
    let (feed, journal) = (stage.feed(), gateway.journal().clone());
    let printed = say(&addresses(
        stage.shop_addr(),
        gateway.http(),
        gateway.admin(),
    ));

    let from = journal.durable();
    let mut playing = pin!(stage.play(gateway.http(), clock.clone()));
    let ended = match printed {
        Err(error) => Err(DemoError::Output(error)),
        Ok(()) => tokio::select! {
            followed = tail::follow(&journal, from, &feed, &clock) =>
                followed.map_err(DemoError::Journal).and(Err(DemoError::Ended)),
            () = &mut playing => Ok(()),
            () = until => Ok(()),
        },
    };
    // The ad server stays until the last callback is out; the directory goes after both.
    tokio::select! {
        () = gateway.stop() => {}
        () = &mut playing => {}
    }
    ended
}

fn addresses(shop: SocketAddr, http: SocketAddr, admin: SocketAddr) -> String {
    let mut text = String::from("\nTidegate demo: everything is on this machine.\n\n");
    let rows = [
        ("Shop", format!("http://{shop}/")),
        ("Live page", format!("http://{shop}/live")),
        ("Gateway", format!("http://{http}  (write key: demo)")),
        ("Metrics", format!("http://{admin}/metrics")),
    ];
    for (name, address) in rows {
        let _ = writeln!(text, "  {name:<10} {address}");
    }
    text.push_str(
        "\nOpen the shop and the live page side by side and click around. Ctrl-C ends it.\n\n",
    );
    text
}
