//! Where the steps of the store thread and of the workers run: on a thread and on tasks of a
//! runtime, or wherever a simulation takes them.

mod threads;

use std::time::Duration;

use tokio::sync::mpsc::Sender;

pub(crate) use threads::Threads;

use crate::error::OpenError;
use crate::outbox::{Command, Keeper};
#[cfg(any(test, feature = "simulation"))]
use crate::simulation::Stepped;
use crate::worker::Worker;

/// See the module.
#[derive(Debug)]
pub(crate) enum Host {
    Threads(Threads),
    #[cfg(any(test, feature = "simulation"))]
    Stepped(Stepped),
}

impl Host {
    pub(crate) fn start_keeper(&self, keeper: Keeper) -> Result<(), OpenError> {
        match self {
            Self::Threads(threads) => threads.start_keeper(keeper),
            #[cfg(any(test, feature = "simulation"))]
            Self::Stepped(stepped) => {
                stepped.start_keeper(keeper);
                Ok(())
            }
        }
    }

    pub(crate) fn start_worker(&self, worker: Worker, commands: Sender<Command>) {
        match self {
            Self::Threads(threads) => threads.start_worker(worker, commands),
            #[cfg(any(test, feature = "simulation"))]
            Self::Stepped(stepped) => stepped.start_worker(worker, commands),
        }
    }

    /// Starts nothing more and waits up to `patience` for answers.
    pub(crate) async fn stop_workers(&self, patience: Duration) {
        match self {
            Self::Threads(threads) => threads.stop_workers(patience).await,
            #[cfg(any(test, feature = "simulation"))]
            Self::Stepped(stepped) => stepped.stop_workers(),
        }
    }

    /// Waits until all commands are written. No sender may be left.
    pub(crate) async fn stop_keeper(&self) {
        match self {
            Self::Threads(threads) => threads.stop_keeper().await,
            #[cfg(any(test, feature = "simulation"))]
            Self::Stepped(stepped) => stepped.stop_keeper(),
        }
    }
}
