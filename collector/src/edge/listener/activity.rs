//! What a connection has been doing, so that one without a request can be told from a busy one, and
//! a slow head from silence, without a timer for each request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Requests begun and ended on one connection, and whether bytes came since the last one began.
#[derive(Debug, Default)]
pub(super) struct Activity {
    started: AtomicU64,
    finished: AtomicU64,
    /// Bytes arrived while no request was in work: the beginning of a head.
    head_begun: AtomicBool,
}

/// What a look at a connection remembers until the next one.
#[derive(Debug, Default)]
pub(super) struct Seen {
    started: u64,
    idle_ms: u64,
}

impl Activity {
    /// Counts a request until the guard is dropped, however that comes about.
    pub(super) fn request(&self) -> Busy<'_> {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.head_begun.store(false, Ordering::Relaxed);
        Busy(self)
    }

    /// Bytes arrived.
    pub(super) fn read(&self) {
        if self.is_resting() && !self.head_begun.load(Ordering::Relaxed) {
            self.head_begun.store(true, Ordering::Relaxed);
        }
    }

    /// Requests begun.
    pub(super) fn requests(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// A first look: what changes is what changes from here on.
    pub(super) fn look(&self) -> Seen {
        Seen {
            started: self.requests(),
            idle_ms: 0,
        }
    }

    fn is_resting(&self) -> bool {
        self.started.load(Ordering::Relaxed) == self.finished.load(Ordering::Relaxed)
    }

    /// True where the connection has waited too long, for its first request or for the rest of a
    /// head since the last look, or for another request for `idle_max_ms`. Looks are `period_ms` apart.
    pub(super) fn is_over(&self, seen: &mut Seen, period_ms: u64, idle_max_ms: u64) -> bool {
        let started = self.requests();
        if started != seen.started || !self.is_resting() {
            *seen = Seen {
                started,
                idle_ms: 0,
            };
            return false;
        }
        seen.idle_ms += period_ms;
        let awaits_head = started == 0 || self.head_begun.load(Ordering::Relaxed);
        awaits_head || seen.idle_ms >= idle_max_ms
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_never_asks_is_over_at_the_first_look() {
        let activity = Activity::default();
        assert!(activity.is_over(&mut Seen::default(), 10, 100));
    }

    #[test]
    fn one_between_requests_may_rest_for_the_idle_time() {
        let (activity, mut seen) = (Activity::default(), Seen::default());
        drop(activity.request());
        assert!(!activity.is_over(&mut seen, 10, 30), "a request was seen");
        assert!(!activity.is_over(&mut seen, 10, 30));
        assert!(!activity.is_over(&mut seen, 10, 30));
        assert!(activity.is_over(&mut seen, 10, 30));
    }

    #[test]
    fn a_head_that_begins_and_does_not_end_is_over_at_the_next_look() {
        let (activity, mut seen) = (Activity::default(), Seen::default());
        drop(activity.request());
        assert!(!activity.is_over(&mut seen, 10, 1_000));
        activity.read();
        assert!(activity.is_over(&mut seen, 10, 1_000));
    }

    #[test]
    fn a_request_in_work_is_never_over() {
        let (activity, mut seen) = (Activity::default(), Seen::default());
        let busy = activity.request();
        for _ in 0..100 {
            activity.read();
            assert!(!activity.is_over(&mut seen, 10, 30));
        }
        drop(busy);
    }
}
