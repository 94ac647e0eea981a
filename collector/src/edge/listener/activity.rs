//! What a connection has been doing, so that one without a request can be told from a busy one
//! without a timer for each request.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests begun and ended on one connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    started: AtomicU64,
    finished: AtomicU64,
}

impl Activity {
    /// Counts a request until the guard is dropped, however that comes about.
    pub(super) fn request(&self) -> Busy<'_> {
        self.started.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    /// True where no request is in work and none has started since `seen`.
    pub(super) fn is_idle(&self, seen: &mut u64) -> bool {
        let started = self.started.load(Ordering::Relaxed);
        let idle = started == *seen && started == self.finished.load(Ordering::Relaxed);
        *seen = started;
        idle
    }
}

/// A request in work.
#[derive(Debug)]
pub(super) struct Busy<'a>(&'a Activity);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.finished.fetch_add(1, Ordering::Relaxed);
    }
}
