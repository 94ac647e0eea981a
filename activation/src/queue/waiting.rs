//! How many rows each key has in the outbox, in memory or in the store only. It decides without a
//! read whether a change gives way to a newer one, and whether its profile has rows already. About
//! 60 bytes a key.

use std::collections::BTreeMap;

use tidegate_event::{ProfileId, SegmentId};

use crate::intent::Key;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(BTreeMap<Key, u64>);

impl Waiting {
    pub(crate) fn add(&mut self, key: Key) {
        *self.0.entry(key).or_default() += 1;
    }

    pub(crate) fn remove(&mut self, key: &Key, rows: u64) {
        if let Some(count) = self.0.get_mut(key) {
            *count = count.saturating_sub(rows);
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }

    pub(crate) fn rows_of(&self, key: &Key) -> u64 {
        self.0.get(key).copied().unwrap_or(0)
    }

    /// True where any key of the profile has rows.
    pub(crate) fn has_profile(&self, profile: ProfileId) -> bool {
        let key = |segment| Key { profile, segment };
        let all = key(SegmentId(0))..=key(SegmentId(u32::MAX));
        self.0.range(all).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_rows_while_any_of_its_keys_has() {
        let key = |profile, segment| Key {
            profile: ProfileId(profile),
            segment: SegmentId(segment),
        };
        let mut waiting = Waiting::default();
        for (profile, segment) in [(2, 0), (2, u32::MAX), (2, u32::MAX)] {
            waiting.add(key(profile, segment));
        }
        let has = |waiting: &Waiting, profile| waiting.has_profile(ProfileId(profile));
        assert!(has(&waiting, 2) && !has(&waiting, 1) && !has(&waiting, 3));
        assert_eq!(waiting.rows_of(&key(2, u32::MAX)), 2);
        waiting.remove(&key(2, 0), 1);
        waiting.remove(&key(2, u32::MAX), 1);
        assert!(has(&waiting, 2));
        waiting.remove(&key(2, u32::MAX), 1);
        assert!(!has(&waiting, 2));
    }
}
