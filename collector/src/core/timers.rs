//! When to look at which profile next. Coarse and lazy: a profile stands in it once, at the
//! earliest time it may be due; whoever looks finds out whether it really is, and puts it back.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tidegate_event::{ProfileId, Timestamp};

/// Due times are kept in steps of this; a timer fires at most so late.
const TICK_MS: i64 = 50;

/// Profiles by the tick at which to look at them: 16 bytes each.
#[derive(Debug, Default)]
pub struct Timers {
    ticks: Mutex<BTreeMap<i64, Vec<ProfileId>>>,
}

impl Timers {
    /// Looks at `id` at `due` or up to one tick later.
    pub fn schedule(&self, id: ProfileId, due: Timestamp) {
        let tick = due.0.div_euclid(TICK_MS).saturating_add(1);
        self.ticks.lock().entry(tick).or_default().push(id);
    }

    /// Takes up to `max` profiles whose time has come, earliest first.
    #[must_use]
    pub fn take_due(&self, now: Timestamp, max: usize) -> Vec<ProfileId> {
        let now = now.0.div_euclid(TICK_MS);
        let mut ticks = self.ticks.lock();
        let mut due = Vec::new();
        while due.len() < max {
            let Some(mut first) = ticks.first_entry().filter(|entry| *entry.key() <= now) else {
                break;
            };
            let room = max - due.len();
            let ids = first.get_mut();
            if ids.len() <= room {
                due.append(ids);
                first.remove();
            } else {
                due.extend(ids.drain(..room));
            }
        }
        due
    }

    /// Entries waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ticks.lock().values().map(Vec::len).sum()
    }

    /// True where none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ticks.lock().is_empty()
    }

    /// Milliseconds by which the earliest entry is overdue; 0 where none is.
    #[must_use]
    pub fn overdue_ms(&self, now: Timestamp) -> i64 {
        let first = self
            .ticks
            .lock()
            .first_key_value()
            .map(|(tick, _)| tick * TICK_MS);
        first.map_or(0, |due| now.0.saturating_sub(due).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_looked_at_early_and_the_earliest_comes_first() {
        let timers = Timers::default();
        timers.schedule(ProfileId(2), Timestamp(2_000));
        timers.schedule(ProfileId(1), Timestamp(1_000));
        assert_eq!(timers.take_due(Timestamp(999), 10), []);
        assert_eq!(
            timers.take_due(Timestamp(1_000 + TICK_MS), 10),
            [ProfileId(1)]
        );
        assert_eq!(timers.take_due(Timestamp(9_000), 10), [ProfileId(2)]);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_cap_leaves_the_rest_for_the_next_call() {
        let timers = Timers::default();
        for id in 0..5 {
            timers.schedule(ProfileId(id), Timestamp(0));
        }
        assert_eq!(timers.take_due(Timestamp(100), 3).len(), 3);
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.take_due(Timestamp(100), 3).len(), 2);
    }
}
