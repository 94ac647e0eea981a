//! The only place that reads a clock. Everything else gets its time passed in.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tidegate_event::Timestamp;

use crate::steady::{Found, Steady};

/// Where "now" comes from; tests pass their own.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The time by which hits are received and decided and timers fire. The gateway's own clock
    /// never steps back.
    fn now(&self) -> Timestamp;
    /// The wall clock: for what other machines compare with theirs (certificates, signatures, the
    /// kernel's arrival times).
    fn wall(&self) -> Timestamp {
        self.now()
    }
    /// Never tells a time before `at` from now on.
    fn go_on_from(&self, _at: Timestamp) {}
    /// A monotonic clock, microseconds since some fixed point, for measuring lengths of time.
    fn monotonic_us(&self) -> u64;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
    /// What the wall clock is ahead of the machine's, milliseconds.
    ahead_ms: i64,
}

impl SystemClock {
    /// The machine's clocks, with the wall clock put to `now`: for a data directory whose times lie
    /// far back.
    #[must_use]
    pub fn set_to(now: Timestamp) -> Self {
        let clock = Self::default();
        let ahead_ms = now.since(Clock::now(&clock));
        Self { ahead_ms, ..clock }
    }
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    fn default() -> Self {
        Self {
            started: Instant::now(),
            ahead_ms: 0,
        }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)).plus_ms(self.ahead_ms)
    }

    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The one clock of the gateway: receipt, decisions, due times and retries follow it.
#[derive(Debug)]
pub struct GatewayClock<C = SystemClock> {
    machine: C,
    steady: Mutex<Steady>,
}

impl<C: Clock> GatewayClock<C> {
    /// Begins with the wall clock of `machine`.
    pub fn new(machine: C) -> Self {
        let steady = Steady::new(machine.now().0, machine.monotonic_us());
        Self {
            machine,
            steady: Mutex::new(steady),
        }
    }

    /// By how many milliseconds it is ahead of the wall clock; negative where it is behind, because
    /// a step forward is not followed yet.
    pub fn lead_ms(&self) -> i64 {
        let _now = Clock::now(self);
        self.steady.lock().lead_ms()
    }

    /// What it reads.
    #[cfg(test)]
    pub const fn machine(&self) -> &C {
        &self.machine
    }
}

impl<C: Clock> Clock for GatewayClock<C> {
    fn now(&self) -> Timestamp {
        let mut steady = self.steady.lock();
        let found = steady.read(self.machine.now().0, self.machine.monotonic_us());
        let now_ms = steady.now_ms();
        drop(steady);
        report(found);
        Timestamp(now_ms)
    }

    fn wall(&self) -> Timestamp {
        self.machine.now()
    }

    fn go_on_from(&self, at: Timestamp) {
        self.steady.lock().go_on_from(at.0);
    }

    fn monotonic_us(&self) -> u64 {
        self.machine.monotonic_us()
    }
}

impl<C: Clock> tidegate_activation::Clock for GatewayClock<C> {
    fn now(&self) -> Timestamp {
        Clock::now(self)
    }

    fn wall(&self) -> Timestamp {
        Clock::wall(self)
    }
}

fn report(found: Found) {
    match found {
        Found::Even => {}
        Found::Held(step_ms) => tracing::warn!(
            step_ms,
            "the wall clock stepped forward; it is followed if that lasts for five minutes"
        ),
        Found::Followed(step_ms) => {
            tracing::warn!(
                step_ms,
                "the wall clock's step forward lasted and is followed"
            );
        }
        Found::Returned => tracing::info!("the wall clock stepped forward and came back"),
        Found::Behind(step_ms) => tracing::warn!(
            step_ms,
            "the wall clock stepped back; time goes on from where it was, a little slower"
        ),
    }
}
