//! What a connection is doing: idle, busy, or slow with the head of a request. It costs no timer for
//! each request. When a wait begins, its time is noted, and the connection's one timer looks at it now
//! and then, at the latest when the timeout could be over.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

/// How long a connection may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For its first request, or for the end of a head that has begun.
    pub(super) head: Duration,
    /// For another request.
    pub(super) idle: Duration,
}

impl Patience {
    /// The same, whatever it waits for.
    pub(super) const fn of(time: Duration) -> Self {
        Self {
            head: time,
            idle: time,
        }
    }

    /// The first time when it can be at its end.
    pub(super) fn shorter(self) -> Duration {
        self.head.min(self.idle)
    }
}

/// Requests begun and ended on one connection, and since when it waits for the next one.
#[derive(Debug)]
pub(super) struct Activity {
    /// The times below are microseconds since.
    began: tokio::time::Instant,
    started: AtomicU64,
    finished: AtomicU64,
    /// When a request ended last.
    rested_us: AtomicU64,
    /// Bytes have arrived that begin a head and do not end it.
    head_open: AtomicBool,
    /// Since when that is so, or is not.
    head_us: AtomicU64,
    in_doubt: AtomicBool,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            began: tokio::time::Instant::now(),
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            rested_us: AtomicU64::new(0),
            head_open: AtomicBool::new(false),
            head_us: AtomicU64::new(0),
            in_doubt: AtomicBool::new(false),
        }
    }
}

impl Activity {
    /// Counts a request until the guard is dropped, however that comes about. None where `max` have
    /// begun already. They begin one after another, whatever comes after is at once.
    pub(super) fn request(self: &Arc<Self>, max: u64) -> Option<Busy> {
        if self.requests() >= max {
            return None;
        }
        self.started.fetch_add(1, Ordering::Relaxed);
        Some(Busy(Arc::clone(self)))
    }

    /// Bytes arrived, and the last of them are the beginning of a head or are not.
    pub(super) fn read(&self, head_open: bool) {
        if self.head_open.load(Ordering::Relaxed) != head_open {
            self.head_us.store(self.now_us(), Ordering::Relaxed);
            self.head_open.store(head_open, Ordering::Relaxed);
        }
    }

    /// A message was in doubt: nothing more will be read.
    pub(super) fn refuse(&self) {
        self.in_doubt.store(true, Ordering::Relaxed);
    }

    /// Whether one was.
    pub(super) fn is_refused(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed)
    }

    /// Requests begun.
    pub(super) fn requests(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Resolves once `max` requests have begun. Poll it after the future that begins them.
    pub(super) async fn used_up(&self, max: u64) {
        poll_fn(|_| match self.requests() >= max {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Whether the connection waits for the rest of a head.
    pub(super) fn awaits_head(&self) -> bool {
        self.is_resting() && self.head_open.load(Ordering::Relaxed)
    }

    /// Waiting counts from now on.
    pub(super) fn rest(&self) {
        self.rested_us.store(self.now_us(), Ordering::Relaxed);
    }

    /// Since when no request is in work; None where one is.
    pub(super) fn rests_since(&self) -> Option<tokio::time::Instant> {
        let rested_us = self.rested_us.load(Ordering::Relaxed);
        self.is_resting()
            .then(|| self.began + Duration::from_micros(rested_us))
    }

    /// When to look at the connection again; None where it has waited too long. A look is never
    /// late: nothing that begins after one can last too long before the next one.
    pub(super) fn next_look(&self, patience: Patience) -> Option<tokio::time::Instant> {
        let now = tokio::time::Instant::now();
        let next = now + patience.shorter();
        if !self.is_resting() {
            return Some(next);
        }
        let end = self.waiting_ends(patience);
        (now < end).then(|| next.min(end))
    }

    fn waiting_ends(&self, patience: Patience) -> tokio::time::Instant {
        let rested_us = self.rested_us.load(Ordering::Relaxed);
        let (since_us, time) = if self.requests() == 0 {
            (rested_us, patience.head)
        } else if self.head_open.load(Ordering::Relaxed) {
            // What came while the request before was in work could not be read.
            let head_us = self.head_us.load(Ordering::Relaxed);
            (rested_us.max(head_us), patience.head)
        } else {
            (rested_us, patience.idle)
        };
        self.began + Duration::from_micros(since_us) + time
    }

    fn is_resting(&self) -> bool {
        self.started.load(Ordering::Relaxed) == self.finished.load(Ordering::Relaxed)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A request in work.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rest();
        self.0.finished.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, sleep_until};

    const PATIENCE: Patience = Patience {
        head: Duration::from_millis(2_000),
        idle: Duration::from_millis(3_000),
    };

    /// Looks as a connection does until it has waited too long; how long that took, in milliseconds,
    /// and in how many looks.
    async fn over_after(activity: &Activity) -> (u128, u32) {
        let (since, mut looks) = (tokio::time::Instant::now(), 1);
        while let Some(next) = activity.next_look(PATIENCE) {
            sleep_until(next).await;
            looks += 1;
        }
        (since.elapsed().as_millis(), looks)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_asks_has_the_time_of_a_head() {
        assert_eq!(over_after(&Activity::default()).await, (2_000, 2));
        let slow = Activity::default();
        advance(Duration::from_millis(500)).await;
        slow.read(true);
        assert_eq!(over_after(&slow).await, (1_500, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn one_between_requests_may_rest_for_the_idle_time_and_not_longer() {
        let activity = Arc::<Activity>::default();
        let busy = activity.request(u64::MAX).unwrap();
        advance(Duration::from_millis(1_234)).await;
        drop(busy);
        assert_eq!(over_after(&activity).await, (3_000, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_has_its_time_from_its_first_byte_however_often_more_come() {
        let activity = Arc::<Activity>::default();
        drop(activity.request(u64::MAX).unwrap());
        advance(Duration::from_millis(700)).await;
        for _ in 0..10 {
            activity.read(true);
            advance(Duration::from_millis(100)).await;
        }
        assert_eq!(over_after(&activity).await, (1_000, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_came_along_with_a_request_has_its_time_from_the_answer() {
        let activity = Arc::<Activity>::default();
        activity.read(true);
        let busy = activity.request(u64::MAX).unwrap();
        advance(Duration::from_millis(5_000)).await;
        drop(busy);
        assert_eq!(over_after(&activity).await, (2_000, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_begins_between_two_looks_is_looked_at_in_time() {
        let activity = Arc::<Activity>::default();
        drop(activity.request(u64::MAX).unwrap());
        let next = activity.next_look(PATIENCE).unwrap();
        advance(Duration::from_millis(900)).await;
        activity.read(true);
        sleep_until(next).await;
        assert_eq!(over_after(&activity).await, (900, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_work_is_never_over() {
        let activity = Arc::<Activity>::default();
        let busy = activity.request(u64::MAX).unwrap();
        for _ in 0..100 {
            let next = activity.next_look(PATIENCE).unwrap();
            sleep_until(next).await;
        }
        drop(busy);
        assert!(activity.next_look(PATIENCE).is_some());
    }

    #[test]
    fn requests_begin_up_to_their_number_and_no_further() {
        let activity = Arc::<Activity>::default();
        let first = activity.request(2);
        assert!(first.is_some() && activity.request(2).is_some());
        drop(first);
        assert!(activity.request(2).is_none());
        assert_eq!(activity.requests(), 2);
    }
}
