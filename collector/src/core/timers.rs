//! When to look at which profile next. A profile stands here once or more, at the earliest time at
//! which something may be due; `fire` finds out whether it is, and puts it back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tidegate_event::{ProfileId, Timestamp};

/// Due times are kept in steps of this; a timer fires at most so late.
const TICK_MS: i64 = 50;
/// `firing_ms` while nothing is being fired.
const IDLE: i64 = i64::MAX;

/// Profiles by the tick at which to look at them: 16 bytes each.
#[derive(Debug)]
pub struct Timers {
    ticks: Mutex<BTreeMap<i64, Vec<ProfileId>>>,
    /// The tick's time of what was taken and is being fired.
    firing_ms: AtomicI64,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            ticks: Mutex::default(),
            firing_ms: AtomicI64::new(IDLE),
        }
    }
}

/// A profile whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub id: ProfileId,
    tick: i64,
}

impl Entry {
    /// True where a look that was scheduled for `due` is this one or came before it.
    #[must_use]
    pub const fn is_of(&self, due: Timestamp) -> bool {
        tick_of(due) <= self.tick
    }

    const fn at_ms(&self) -> i64 {
        self.tick.saturating_mul(TICK_MS)
    }
}

/// While it lives, the gauge counts what is being fired as waiting.
#[derive(Debug)]
pub struct Firing<'t>(&'t Timers);

impl Firing<'_> {
    /// `entry` is fired now.
    pub fn at(&self, entry: Entry) {
        self.0.firing_ms.store(entry.at_ms(), Ordering::Relaxed);
    }
}

impl Drop for Firing<'_> {
    fn drop(&mut self) {
        self.0.firing_ms.store(IDLE, Ordering::Relaxed);
    }
}

const fn tick_of(due: Timestamp) -> i64 {
    due.0.div_euclid(TICK_MS).saturating_add(1)
}

impl Timers {
    /// Looks at `id` at `due` or up to one tick later.
    pub fn schedule(&self, id: ProfileId, due: Timestamp) {
        let tick = tick_of(due);
        self.ticks.lock().entry(tick).or_default().push(id);
    }

    /// Puts entries back that were taken and not fired.
    pub fn put_back(&self, entries: &[Entry]) {
        let mut ticks = self.ticks.lock();
        for entry in entries {
            ticks.entry(entry.tick).or_default().push(entry.id);
        }
    }

    /// Takes up to `max` profiles whose time has come, earliest first.
    #[must_use]
    pub fn take_due(&self, now: Timestamp, max: usize) -> Vec<Entry> {
        let now = now.0.div_euclid(TICK_MS);
        let mut ticks = self.ticks.lock();
        let mut due = Vec::new();
        while due.len() < max {
            let Some(mut first) = ticks.first_entry().filter(|entry| *entry.key() <= now) else {
                break;
            };
            let tick = *first.key();
            let room = max - due.len();
            let ids = first.get_mut();
            let taken = ids.len().min(room);
            due.extend(ids.drain(..taken).map(|id| Entry { id, tick }));
            if ids.is_empty() {
                first.remove();
            }
        }
        due
    }

    /// Tells the gauge that entries are being fired.
    #[must_use]
    pub const fn firing(&self) -> Firing<'_> {
        Firing(self)
    }

    /// True where at least `count` profiles have their time at or before `time`.
    #[must_use]
    pub fn has_due(&self, time: Timestamp, count: usize) -> bool {
        let last = tick_of(time);
        let ticks = self.ticks.lock();
        let mut found = 0;
        ticks.range(..=last).any(|(_, ids)| {
            found += ids.len();
            found >= count
        })
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

    /// Milliseconds by which the earliest entry is overdue, one that is being fired included; 0
    /// where none is.
    #[must_use]
    pub fn overdue_ms(&self, now: Timestamp) -> i64 {
        let first = self
            .ticks
            .lock()
            .first_key_value()
            .map_or(IDLE, |(tick, _)| tick.saturating_mul(TICK_MS));
        let due = first.min(self.firing_ms.load(Ordering::Relaxed));
        now.0.saturating_sub(due).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(timers: &Timers, now: i64, max: usize) -> Vec<ProfileId> {
        let entries = timers.take_due(Timestamp(now), max);
        entries.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn nothing_is_looked_at_early_and_the_earliest_comes_first() {
        let timers = Timers::default();
        timers.schedule(ProfileId(2), Timestamp(2_000));
        timers.schedule(ProfileId(1), Timestamp(1_000));
        assert_eq!(taken(&timers, 999, 10), []);
        assert_eq!(taken(&timers, 1_000 + TICK_MS, 10), [ProfileId(1)]);
        assert_eq!(taken(&timers, 9_000, 10), [ProfileId(2)]);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_cap_leaves_the_rest_for_the_next_call() {
        let timers = Timers::default();
        for id in 0..5 {
            timers.schedule(ProfileId(id), Timestamp(0));
        }
        assert_eq!(taken(&timers, 100, 3).len(), 3);
        assert_eq!(timers.len(), 2);
        assert!(timers.has_due(Timestamp(100), 2) && !timers.has_due(Timestamp(100), 3));
        assert_eq!(taken(&timers, 100, 3).len(), 2);
    }

    #[test]
    fn what_is_being_fired_is_still_overdue() {
        let timers = Timers::default();
        timers.schedule(ProfileId(1), Timestamp(1_000));
        let entries = timers.take_due(Timestamp(9_000), 1);
        let firing = timers.firing();
        firing.at(entries[0]);
        assert_eq!(timers.overdue_ms(Timestamp(9_000)), 8_000 - TICK_MS);
        timers.put_back(&entries);
        drop(firing);
        assert_eq!(timers.overdue_ms(Timestamp(9_000)), 8_000 - TICK_MS);
        assert_eq!(taken(&timers, 9_000, 1), [ProfileId(1)]);
        assert_eq!(timers.overdue_ms(Timestamp(9_000)), 0);
    }
}
