//! Maps minutes to journal offsets, to turn the deduplication window into an offset. The minutes are
//! stored: otherwise restarts more often than the window's length would keep every key.

use std::collections::BTreeMap;

use tidegate_event::Timestamp;

const MINUTE_MS: i64 = 60_000;

/// Where the journal was at the beginning of each minute in which there was a checkpoint.
#[derive(Debug)]
pub(super) struct Reached(BTreeMap<Timestamp, u64>);

impl Reached {
    /// Goes on from what the store noted.
    #[must_use]
    pub(super) const fn new(noted: BTreeMap<Timestamp, u64>) -> Self {
        Self(noted)
    }

    /// The journal is at `offset` now; the minute where it is one that was not known.
    pub(super) fn note(&mut self, now: Timestamp, offset: u64) -> Option<Timestamp> {
        let minute = Timestamp(now.0.div_euclid(MINUTE_MS) * MINUTE_MS);
        let new = !self.0.contains_key(&minute);
        self.0.entry(minute).or_insert(offset);
        new.then_some(minute)
    }

    /// Takes what is of before `time`, and says how far the journal was last then.
    pub(super) fn take_before(&mut self, time: Timestamp) -> Option<u64> {
        let kept = self.0.split_off(&time);
        let taken = std::mem::replace(&mut self.0, kept);
        taken.into_values().next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_taken_once_its_minute_is_over_and_counts_from_the_minutes_first_note() {
        let mut reached = Reached::new(BTreeMap::from([(Timestamp(0), 5)]));
        assert_eq!(reached.note(Timestamp(60_500), 7), Some(Timestamp(60_000)));
        assert_eq!(reached.note(Timestamp(60_900), 9), None);
        assert_eq!(reached.take_before(Timestamp(60_000)), Some(5));
        assert_eq!(reached.take_before(Timestamp(60_000)), None);
        assert_eq!(reached.take_before(Timestamp(60_001)), Some(7));
    }
}
