//! The only place that reads a clock. Everything else gets its time passed in.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidegate_event::Timestamp;

/// Where "now" comes from; tests pass their own.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// Wall clock, milliseconds.
    fn now(&self) -> Timestamp;
    /// A monotonic clock, microseconds since some fixed point, for measuring lengths of time.
    fn monotonic_us(&self) -> u64;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl tidegate_activation::Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Clock::now(self)
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
