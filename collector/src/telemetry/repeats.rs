//! A bound on how often one message is logged: a fault that comes with every request must not fill
//! the disk, nor hide what else is said. A message is known by the place in the code that says it.

use std::collections::HashMap;

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::clock::{Clock, SystemClock};

/// Messages are counted within windows of this length.
const WINDOW_US: u64 = 60_000_000;

/// Leaves out what one place says more than `times_max` times within a minute, and says how often
/// with the first message after that minute. There are as many entries as places that log.
#[derive(Debug)]
pub(super) struct Repeats {
    times_max: u32,
    clock: SystemClock,
    places: Mutex<HashMap<Identifier, Place>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    since_us: u64,
    times: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Say it; so many before were left out.
    Say {
        left_out: u32,
    },
    LeaveOut,
}

impl Place {
    fn judge(&mut self, now_us: u64, times_max: u32) -> Verdict {
        let mut left_out = 0;
        if now_us.saturating_sub(self.since_us) >= WINDOW_US {
            left_out = self.times.saturating_sub(times_max);
            *self = Self {
                since_us: now_us,
                times: 0,
            };
        }
        self.times = self.times.saturating_add(1);
        if self.times > times_max {
            Verdict::LeaveOut
        } else {
            Verdict::Say { left_out }
        }
    }
}

impl Repeats {
    pub(super) fn new(times_max: u32, clock: SystemClock) -> Self {
        Self {
            times_max,
            clock,
            places: Mutex::default(),
        }
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        if self.times_max == 0 {
            return true;
        }
        let now_us = self.clock.monotonic_us();
        let metadata = event.metadata();
        let verdict = {
            let mut places = self.places.lock();
            let place = places.entry(metadata.callsite()).or_insert(Place {
                since_us: now_us,
                times: 0,
            });
            place.judge(now_us, self.times_max)
        };
        match verdict {
            Verdict::LeaveOut => false,
            Verdict::Say { left_out: 0 } => true,
            Verdict::Say { left_out } => {
                let place = metadata.name();
                tracing::warn!(left_out, place, "a message came too often and was left out");
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_too_often_is_left_out_and_counted_until_the_minute_is_over() {
        let mut place = Place::default();
        let said = Verdict::Say { left_out: 0 };
        assert_eq!(place.judge(1, 2), said);
        assert_eq!(place.judge(2, 2), said);
        for _ in 0..5 {
            assert_eq!(place.judge(3, 2), Verdict::LeaveOut);
        }
        let after = WINDOW_US;
        assert_eq!(place.judge(after, 2), Verdict::Say { left_out: 5 });
        assert_eq!(place.judge(after, 2), said);
        assert_eq!(place.judge(after, 2), Verdict::LeaveOut);
        assert_eq!(place.judge(3 * after, 2), Verdict::Say { left_out: 1 });
    }
}
