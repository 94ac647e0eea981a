//! How fast and how wide one destination is called: a token bucket for the rate, and additive
//! increase, multiplicative decrease for the width. Pure: time is passed in.

use std::time::Duration;

use tidegate_event::Timestamp;

use crate::settings::Limits;

/// Parts of one token: a millisecond earns as many as there are requests a second.
const PARTS: u64 = 1_000;

/// Requests a second, with a burst of one second.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    rps: u64,
    parts: u64,
    earned_until: Option<Timestamp>,
}

impl Rate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let rps = u64::from(limits.rps.max(1));
        Self {
            rps,
            parts: rps * PARTS,
            earned_until: None,
        }
    }

    /// Takes one token, or returns how long until there is one.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        let since = self.earned_until.map_or(0, |at| now.since(at).max(0));
        let earned = since.unsigned_abs().saturating_mul(self.rps);
        self.parts = self.parts.saturating_add(earned).min(self.rps * PARTS);
        self.earned_until = Some(now);
        if let Some(left) = self.parts.checked_sub(PARTS) {
            self.parts = left;
            return Ok(());
        }
        let missing = PARTS - self.parts;
        Err(Duration::from_millis(missing.div_ceil(self.rps)))
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
    fn the_rate_allows_one_second_of_burst() {
        let mut rate = Rate::new(&Limits {
            rps: 5,
            ..Limits::default()
        });
        let mut burst = |now| (0..9).filter(|_| rate.take(Timestamp(now)).is_ok()).count();
        assert_eq!(burst(10_000), 5);
        assert_eq!(burst(10_199), 0);
        assert_eq!(burst(10_200), 1);
        assert_eq!(burst(99_000), 5, "no more than a second is saved up");
    }

    #[test]
    fn the_wait_for_a_token_is_exact_at_any_rate() {
        for rps in [1, 7, 1_000, 100_000] {
            let mut rate = Rate::new(&Limits {
                rps,
                ..Limits::default()
            });
            let now = Timestamp(0);
            let wait = loop {
                if let Err(wait) = rate.take(now) {
                    break i64::try_from(wait.as_millis()).unwrap();
                }
            };
            assert_eq!(wait, i64::from(1_000_u32.div_ceil(rps)));
            assert!(wait == 1 || rate.take(Timestamp(wait - 1)).is_err());
            assert!(rate.take(Timestamp(wait)).is_ok());
        }
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
