//! What the stored profiles take, by when they were last seen: says up to when the oldest have to
//! go for the rest to fit. Counted by the sweep of [`crate::core`]; knows no storage.

use std::collections::BTreeMap;

use tidegate_event::Timestamp;

/// Profiles are told apart by ten minutes.
const SPAN_MS: i64 = 600_000;

/// Number and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Profiles.
    pub profiles: u64,
    /// Bytes of their rows, identifiers and due times, before compression.
    pub bytes: u64,
}

impl Sum {
    const fn add(&mut self, bytes: u64) {
        self.profiles += 1;
        self.bytes += bytes;
    }

    const fn remove(&mut self, bytes: u64) {
        self.profiles = self.profiles.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Stored profiles by age.
#[derive(Clone, Debug, Default)]
pub struct Census {
    spans: BTreeMap<i64, Sum>,
    all: Sum,
}

impl Census {
    /// One more.
    pub fn add(&mut self, last_seen: Timestamp, bytes: u64) {
        self.all.add(bytes);
        self.spans.entry(span(last_seen)).or_default().add(bytes);
    }

    /// One less, where it was counted.
    pub fn remove(&mut self, last_seen: Timestamp, bytes: u64) {
        let span = span(last_seen);
        // One that was not counted yet is not there.
        let Some(sum) = self.spans.get_mut(&span) else {
            return;
        };
        sum.remove(bytes);
        if sum.profiles == 0 {
            self.spans.remove(&span);
        }
        self.all.remove(bytes);
    }

    /// All of them.
    #[must_use]
    pub const fn all(&self) -> Sum {
        self.all
    }

    /// Those last seen before this have at least `bytes` together, as far as there are so many.
    #[must_use]
    pub fn oldest(&self, bytes: u64) -> Option<Timestamp> {
        let mut found = 0;
        let mut last = None;
        for (span, sum) in &self.spans {
            if found >= bytes {
                break;
            }
            found += sum.bytes;
            last = Some(Timestamp(span.saturating_add(1).saturating_mul(SPAN_MS)));
        }
        last
    }
}

fn span(last_seen: Timestamp) -> i64 {
    last_seen.0.div_euclid(SPAN_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_those_that_make_up_the_bytes() {
        let mut census = Census::default();
        for minute in [0, 5, 15, 25] {
            census.add(Timestamp(minute * 60_000), 100);
        }
        assert_eq!(census.oldest(0), None);
        assert_eq!(census.oldest(200), Some(Timestamp(SPAN_MS)));
        assert_eq!(census.oldest(201), Some(Timestamp(2 * SPAN_MS)));
        assert_eq!(census.oldest(9_999), Some(Timestamp(3 * SPAN_MS)));
        census.remove(Timestamp(0), 100);
        census.remove(Timestamp(1), 100);
        let left = Sum {
            profiles: 2,
            bytes: 200,
        };
        assert_eq!(census.all(), left);
        assert_eq!(census.oldest(1), Some(Timestamp(2 * SPAN_MS)));
    }
}
