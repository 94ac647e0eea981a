//! The gateway's time, from readings of the wall clock and of a monotonic clock. It never steps
//! back, and it does not follow a step forward that no running machine makes. Pure: the readings
//! are passed in by [`crate::clock::GatewayClock`], its only caller.

/// A wall clock that gets this far ahead between two readings has stepped.
const STEP_MS: i64 = 120_000;
/// A step that lasts this long is believed.
const HELD_MS: i64 = 300_000;
/// While the wall clock is behind, of this many milliseconds that pass one is left out.
const SLEW: i64 = 16;
const US: i64 = 1_000;

/// Microseconds since 1970, by the gateway.
#[derive(Clone, Debug)]
pub struct Steady {
    now_us: i64,
    monotonic_us: u64,
    wall_ms: i64,
    /// What passed while the wall clock was behind, below one step of the slew.
    rest_us: i64,
    held: Option<Held>,
}

/// A step forward that is not followed yet.
#[derive(Clone, Copy, Debug)]
struct Held {
    since_us: u64,
    ahead_ms: i64,
}

/// What a reading found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing to report.
    Even,
    /// The wall clock stepped forward by this much; it is not followed yet.
    Held(i64),
    /// The step lasted: the gateway's time follows it by this much.
    Followed(i64),
    /// The wall clock came back before its step was followed.
    Returned,
    /// The wall clock stepped back by this much: the gateway's time goes on, a little slower.
    Behind(i64),
}

impl Steady {
    /// Begins with the wall clock.
    #[must_use]
    pub const fn new(wall_ms: i64, monotonic_us: u64) -> Self {
        Self {
            now_us: wall_ms.saturating_mul(US),
            monotonic_us,
            wall_ms,
            rest_us: 0,
            held: None,
        }
    }

    /// Never tells a time before `at_ms` from now on.
    pub fn go_on_from(&mut self, at_ms: i64) {
        self.now_us = self.now_us.max(at_ms.saturating_mul(US));
    }

    /// The time, milliseconds.
    #[must_use]
    pub const fn now_ms(&self) -> i64 {
        self.now_us.div_euclid(US)
    }

    /// By how much it is ahead of the wall clock's last reading, milliseconds.
    #[must_use]
    pub const fn lead_ms(&self) -> i64 {
        self.now_ms().saturating_sub(self.wall_ms)
    }

    /// Takes a reading of both clocks.
    pub fn read(&mut self, wall_ms: i64, monotonic_us: u64) -> Found {
        let passed_us = monotonic_us.saturating_sub(self.monotonic_us);
        self.monotonic_us = self.monotonic_us.max(monotonic_us);
        let passed_us = i64::try_from(passed_us).unwrap_or(i64::MAX);
        let lead_before_ms = self.lead_ms();
        self.wall_ms = wall_ms;
        let wall_us = wall_ms.saturating_mul(US);
        let steady_us = self.now_us.saturating_add(passed_us);
        let ahead_ms = wall_us.saturating_sub(steady_us) / US;
        if ahead_ms > STEP_MS {
            return self.hold(ahead_ms, steady_us);
        }
        let returned = self.held.take().is_some();
        if wall_us >= steady_us {
            self.now_us = wall_us;
        } else {
            let slowed_us = self.now_us.saturating_add(passed_us - self.slew(passed_us));
            self.now_us = slowed_us.max(wall_us);
        }
        let stepped_ms = self.lead_ms().saturating_sub(lead_before_ms);
        match returned {
            true => Found::Returned,
            false if stepped_ms > STEP_MS => Found::Behind(stepped_ms),
            false => Found::Even,
        }
    }

    fn hold(&mut self, ahead_ms: i64, steady_us: i64) -> Found {
        let known = self
            .held
            .filter(|held| (held.ahead_ms - ahead_ms).abs() <= STEP_MS);
        let Some(held) = known else {
            self.held = Some(Held {
                since_us: self.monotonic_us,
                ahead_ms,
            });
            self.now_us = steady_us;
            return Found::Held(ahead_ms);
        };
        let held_us = self.monotonic_us.saturating_sub(held.since_us);
        if i64::try_from(held_us).unwrap_or(i64::MAX) < HELD_MS * US {
            self.now_us = steady_us;
            return Found::Even;
        }
        self.held = None;
        self.now_us = self.wall_ms.saturating_mul(US);
        Found::Followed(ahead_ms)
    }

    /// What of `passed_us` is left out.
    fn slew(&mut self, passed_us: i64) -> i64 {
        let owed_us = self.rest_us.saturating_add(passed_us);
        self.rest_us = owed_us % SLEW;
        owed_us / SLEW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;
    const HOUR: i64 = 3_600 * SECOND;
    const START: i64 = 1_800_000_000_000;

    /// Both clocks, a reading each second.
    struct Machine {
        steady: Steady,
        wall_ms: i64,
        monotonic_ms: i64,
        found: Vec<Found>,
    }

    impl Machine {
        fn new() -> Self {
            Self {
                steady: Steady::new(START, 0),
                wall_ms: START,
                monotonic_ms: 0,
                found: Vec::new(),
            }
        }

        fn run(&mut self, ms: i64) -> i64 {
            let before = self.steady.now_ms();
            for _ in 0..ms / SECOND {
                self.wall_ms += SECOND;
                self.monotonic_ms += SECOND;
                let last = self.steady.now_ms();
                let monotonic_us = u64::try_from(self.monotonic_ms * US).unwrap();
                let found = self.steady.read(self.wall_ms, monotonic_us);
                assert!(self.steady.now_ms() >= last, "it never steps back");
                if found != Found::Even {
                    self.found.push(found);
                }
            }
            self.steady.now_ms() - before
        }
    }

    #[test]
    fn it_is_the_wall_clock_while_that_runs_evenly() {
        let mut machine = Machine::new();
        machine.run(60 * SECOND);
        machine.wall_ms += 90 * SECOND;
        machine.run(SECOND);
        assert_eq!(machine.steady.now_ms(), machine.wall_ms);
        assert_eq!((machine.steady.lead_ms(), machine.found.len()), (0, 0));
    }

    #[test]
    fn a_step_forward_for_some_seconds_is_not_followed() {
        let mut machine = Machine::new();
        machine.wall_ms += 2 * HOUR;
        assert_eq!(machine.run(30 * SECOND), 30 * SECOND);
        assert_eq!(machine.steady.lead_ms(), -2 * HOUR);
        machine.wall_ms -= 2 * HOUR;
        assert_eq!(machine.run(30 * SECOND), 30 * SECOND);
        assert_eq!(machine.steady.lead_ms(), 0);
        assert_eq!(machine.found, [Found::Held(2 * HOUR), Found::Returned]);
    }

    #[test]
    fn a_step_forward_that_lasts_is_followed() {
        let mut machine = Machine::new();
        machine.wall_ms += 2 * HOUR;
        machine.run(HELD_MS + 2 * SECOND);
        assert_eq!(machine.steady.now_ms(), machine.wall_ms);
        let followed = [Found::Held(2 * HOUR), Found::Followed(2 * HOUR)];
        assert_eq!(machine.found, followed);
    }

    #[test]
    fn after_a_step_back_time_goes_on_a_little_slower_until_the_wall_is_there() {
        let mut machine = Machine::new();
        machine.wall_ms -= 2 * HOUR;
        assert_eq!(machine.run(16 * SECOND), 15 * SECOND);
        machine.run(32 * HOUR);
        assert_eq!(machine.steady.now_ms(), machine.wall_ms);
        let [Found::Behind(step_ms)] = machine.found[..] else {
            panic!("{:?}", machine.found);
        };
        assert!((2 * HOUR - step_ms).abs() < SECOND, "{step_ms}");
    }

    #[test]
    fn after_a_restart_it_goes_on_from_the_last_decision() {
        let mut steady = Steady::new(START, 0);
        steady.go_on_from(START + HOUR);
        steady.go_on_from(START - HOUR);
        assert_eq!(steady.now_ms(), START + HOUR);
        let second_us = u64::try_from(SECOND * US).unwrap();
        let found = steady.read(START + SECOND, second_us);
        assert_eq!(found, Found::Even, "the lead was known");
        assert!(steady.now_ms() > START + HOUR, "timers go on");
    }

    #[test]
    fn readings_a_microsecond_apart_are_slowed_as_well() {
        let mut steady = Steady::new(START, 0);
        steady.go_on_from(START + HOUR);
        for us in 0..=160_000 {
            steady.read(START, us);
        }
        assert_eq!(steady.now_ms(), START + HOUR + 150);
    }
}
