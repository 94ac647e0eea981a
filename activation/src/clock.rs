//! The only source of time: the embedding process gives it at start.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_event::Timestamp;

/// Tells the time. The collector's clock implements it; tests use their own.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Milliseconds since 1970: due times, deadlines and pauses.
    fn now(&self) -> Timestamp;

    /// The wall clock as receivers see it: signatures and HTTP dates. Differs from
    /// [`Clock::now`] where that is held or runs ahead.
    fn wall(&self) -> Timestamp {
        self.now()
    }
}

/// A clock that never goes back. Where the given one does, this one goes on from where it was, at
/// the same pace. So neither a pause nor a due time ever lies ahead by the size of a step.
#[derive(Debug)]
pub(crate) struct Steady {
    given: Arc<dyn Clock>,
    lead: Mutex<Lead>,
}

#[derive(Debug)]
struct Lead {
    /// Last time read from the given clock.
    last: Timestamp,
    /// Sum of its steps back, milliseconds.
    ms: i64,
}

impl Steady {
    /// `reached` is how far the clock of an earlier run got: stored due times are of that clock.
    pub(crate) fn new(given: Arc<dyn Clock>, reached: Option<Timestamp>) -> Self {
        let last = given.now();
        let lead = Lead {
            last,
            ms: reached.map_or(0, |at| at.since(last).max(0)),
        };
        Self {
            given,
            lead: Mutex::new(lead),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let mut lead = self.lead.lock();
        let given = self.given.now();
        lead.ms = lead.ms.saturating_add(lead.last.since(given).max(0));
        lead.last = given;
        given.plus_ms(lead.ms)
    }

    /// The clock below it.
    pub(crate) fn given(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.given)
    }

    pub(crate) fn wall(&self) -> Timestamp {
        self.given.wall()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_step_back_is_never_seen() {
        let hand = Arc::new(Hand::default());
        let steady = Steady::new(Arc::clone(&hand) as Arc<dyn Clock>, None);
        let read = |given| {
            hand.0.store(given, Ordering::Relaxed);
            (steady.now().0, steady.wall().0)
        };
        assert_eq!(read(1_000), (1_000, 1_000));
        assert_eq!(read(7_201_000), (7_201_000, 7_201_000));
        assert_eq!(read(2_000), (7_201_000, 2_000), "held, not set back");
        assert_eq!(read(2_500), (7_201_500, 2_500), "and it goes on");
        assert_eq!(read(2_400).0, 7_201_500);
        let restarted = Steady::new(hand, Some(Timestamp(7_201_000)));
        assert_eq!(restarted.now(), Timestamp(7_201_000));
    }
}
