//! The gateway as a whole: wires the parts in the order of the flow and stops them in reverse.
//! Everything else is unaware of how it is joined.

mod open_files;
pub mod named_files;
mod hand_over;
mod bound;
mod lookups;
mod ahead;
mod charges;
mod start;
mod catalogs;
mod reading;
mod reload;
mod watch;
mod reopen;
mod background;
mod control;
mod figures;
mod stop;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tidegate_activation::Activation;
use tidegate_journal::Journal;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch::Sender;
use tokio::task::JoinHandle;

pub use hand_over::{Before, InheritError, Inherited, Predecessor, Successor, TakeOverError};
pub use open_files::OpenFiles;
pub use start::{Launch, StartError};
pub use stop::{Leftover, Patience};

use crate::admin::control::{ReloadRefused, ReloadView};
use crate::core::Core;
use crate::cursors::activation::ActivationCursor;
use crate::cursors::kafka::KafkaSink;
use crate::edge::Edge;
use crate::liveness::Liveness;
use catalogs::Catalogs;
use reload::Reloads;

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    core: Core,
    catalogs: Arc<Catalogs>,
    reloads: Arc<Reloads>,
    draining: Arc<AtomicBool>,
    liveness: Liveness,
    /// Processes that are ready to take over: the first one does.
    successors: tokio::sync::Mutex<Receiver<Successor>>,
    offer: Option<JoinHandle<()>>,
    edge: Arc<Edge<Core>>,
    activation: Activation,
    activation_cursor: Option<ActivationCursor>,
    kafka: Option<KafkaSink>,
    http: SocketAddr,
    https: Option<SocketAddr>,
    admin: SocketAddr,
    stop: Sender<bool>,
    /// The admin listener's own: it answers longer.
    stop_admin: Sender<bool>,
    edge_task: JoinHandle<()>,
    admin_task: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Where hits are taken.
    #[must_use]
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where hits are taken over TLS and, on the same port of UDP, over HTTP/3.
    #[must_use]
    pub const fn https(&self) -> Option<SocketAddr> {
        self.https
    }

    /// Where the admin API answers.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Resolves when a new process is ready to take over. It waits until what is given here is
    /// dropped, which has to be the last thing that this process does.
    pub async fn successor(&self) -> Successor {
        match self.successors.lock().await.recv().await {
            Some(successor) => successor,
            None => std::future::pending().await,
        }
    }

    /// Reads settings, catalog, GeoIP databases and certificates again and takes what changed.
    ///
    /// # Errors
    /// Every mistake; then nothing changed.
    pub async fn reload(&self) -> Result<ReloadView, ReloadRefused> {
        self.reloads.reload().await
    }

    /// The journal, for callers that follow it in this process.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        self.core.journal()
    }

    /// The live state.
    #[must_use]
    pub const fn core(&self) -> &Core {
        &self.core
    }

    /// Resolves when the journal's disk failed: nothing is acknowledged any more, and the process
    /// has to end and recover from disk.
    pub async fn failed(&self) -> tidegate_journal::Fatal {
        self.core.journal().on_fatal().await
    }
}
