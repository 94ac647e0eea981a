//! How fast and how wide one destination is called: a token bucket (governor) for the rate, and
//! additive increase, multiplicative decrease for the width.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::settings::Limits;

/// Requests a second, with a burst of one second. Uses governor's monotonic clock, because a wall
/// clock that steps back would block it for as long as the step.
#[derive(Debug)]
pub(crate) struct Rate {
    bucket: RateLimiter<NotKeyed, InMemoryState, MonotonicClock>,
    clock: MonotonicClock,
}

impl Rate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let rps = NonZeroU32::new(limits.rps).unwrap_or(NonZeroU32::MIN);
        let bucket = RateLimiter::direct_with_clock(Quota::per_second(rps), MonotonicClock);
        Self {
            bucket,
            clock: MonotonicClock,
        }
    }

    /// Takes one token, or says how long until there is one.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        self.bucket
            .check()
            .map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

/// How many requests may be in flight.
#[derive(Clone, Debug)]
pub(crate) struct Width {
    now: usize,
    max: usize,
    successes: usize,
}

impl Width {
    pub(crate) fn new(limits: &Limits) -> Self {
        let max = limits.concurrency.max(1);
        Self {
            now: max,
            max,
            successes: 0,
        }
    }

    pub(crate) const fn allows(&self, in_flight: usize) -> bool {
        in_flight < self.now
    }

    /// A whole width of successes widens it by one.
    pub(crate) const fn succeeded(&mut self) {
        self.successes += 1;
        if self.successes >= self.now && self.now < self.max {
            self.now += 1;
            self.successes = 0;
        }
    }

    /// A sign of overload halves it.
    pub(crate) fn overloaded(&mut self) {
        self.now = (self.now / 2).max(1);
        self.successes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_allows_one_second_of_burst_and_then_says_how_long() {
        let rate = Rate::new(&Limits {
            rps: 5,
            ..Limits::default()
        });
        assert_eq!((0..5).filter(|_| rate.take().is_ok()).count(), 5);
        let wait = rate.take().unwrap_err();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_millis(200),
            "{wait:?}"
        );
    }

    #[test]
    fn the_width_halves_on_overload_and_grows_back_one_by_one() {
        let mut width = Width::new(&Limits {
            concurrency: 8,
            ..Limits::default()
        });
        assert!(width.allows(7) && !width.allows(8));
        width.overloaded();
        assert!(width.allows(3) && !width.allows(4));
        for _ in 0..4 {
            width.succeeded();
        }
        assert!(width.allows(4) && !width.allows(5));
        for _ in 0..10 {
            width.overloaded();
        }
        assert!(width.allows(0) && !width.allows(1), "one always remains");
        for _ in 0..1_000 {
            width.succeeded();
        }
        assert!(
            width.allows(7) && !width.allows(8),
            "never beyond the setting"
        );
    }
}
