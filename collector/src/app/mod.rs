//! The gateway as a whole: wires the parts in the order of the flow and stops them in reverse.
//! Everything else is unaware of how it is joined.

mod start;
mod catalogs;
mod background;
mod control;
mod figures;
mod stop;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_activation::Activation;
use tidegate_journal::Journal;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use start::StartError;
pub use stop::Leftover;

use crate::core::Core;
use crate::cursors::activation::ActivationCursor;
use crate::cursors::kafka::KafkaSink;
use catalogs::Catalogs;

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    core: Core,
    catalogs: Arc<Catalogs>,
    activation: Activation,
    activation_cursor: Option<ActivationCursor>,
    kafka: Option<KafkaSink>,
    http: SocketAddr,
    https: Option<SocketAddr>,
    admin: SocketAddr,
    stop: watch::Sender<bool>,
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

    /// The journal, for whoever wants to follow it in this process.
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
