//! Wakes the worker of a destination. A ring that comes before the wait is not lost.

#[cfg(any(test, feature = "simulation"))]
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    notify: Notify,
    /// For a simulation, which waits in no runtime.
    #[cfg(any(test, feature = "simulation"))]
    rung: AtomicBool,
}

impl Wake {
    pub(crate) fn ring(&self) {
        self.notify.notify_one();
        #[cfg(any(test, feature = "simulation"))]
        self.rung.store(true, Ordering::Release);
    }

    pub(crate) async fn rung(&self) {
        self.notify.notified().await;
    }

    /// Whether it was rung since the last call.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn take(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }
}
