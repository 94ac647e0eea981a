//! Which dead letters a destination has, and whose they are: in memory, read from the store when it
//! is opened. A new one finds earlier ones of its key here, and the one to drop where there are too
//! many. Some 300 bytes each.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidegate_event::{ProfileId, SegmentId};

use crate::dead_letter::DeadRow;
use crate::intent::Key;

/// None for dead letters that do not parse.
type Owner = Option<ProfileId>;

/// How many an owner has, then its oldest one: the last rank has the most, and the oldest one
/// among equals.
type Rank = (u64, Reverse<u64>, Owner);

/// What a dead letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeadEntry {
    pub(crate) key: Key,
    pub(crate) offset: u64,
}

impl DeadEntry {
    pub(crate) fn of(dead: &DeadRow) -> Self {
        Self {
            key: dead.row.key(),
            offset: dead.row.intent.offset(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeadIndex {
    owners: BTreeMap<u64, Owner>,
    of_owner: BTreeMap<(Owner, u64), Option<(SegmentId, u64)>>,
    counts: HashMap<Owner, u64>,
    ranks: BTreeSet<Rank>,
}

impl DeadIndex {
    pub(crate) fn count(&self) -> u64 {
        self.owners.len() as u64
    }

    /// Numbers of all dead letters, oldest first.
    pub(crate) fn numbers(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.owners.keys().copied()
    }

    /// `letter` is None where it does not parse.
    pub(crate) fn add(&mut self, number: u64, letter: Option<DeadEntry>) {
        let owner = letter.map(|letter| letter.key.profile);
        self.ranked(owner, |letters| {
            letters.owners.insert(number, owner);
            let about = letter.map(|letter| (letter.key.segment, letter.offset));
            letters.of_owner.insert((owner, number), about);
            *letters.counts.entry(owner).or_default() += 1;
        });
    }

    /// False where there is no such dead letter.
    pub(crate) fn remove(&mut self, number: u64) -> bool {
        let Some(owner) = self.owners.remove(&number) else {
            return false;
        };
        self.ranked(owner, |letters| {
            letters.of_owner.remove(&(owner, number));
            if let Some(count) = letters.counts.get_mut(&owner) {
                *count -= 1;
            }
        });
        true
    }

    /// Numbers and offsets of those of a key. Looks at those of its profile: one for each
    /// segment, but for what earlier builds stored.
    pub(crate) fn of_key(&self, key: &Key) -> Vec<(u64, u64)> {
        let all = (Some(key.profile), 0)..=(Some(key.profile), u64::MAX);
        let letters = self.of_owner.range(all);
        letters
            .filter_map(|(&(_, number), about)| {
                let (_, offset) = about.filter(|(segment, _)| *segment == key.segment)?;
                Some((number, offset))
            })
            .collect()
    }

    /// The one to drop where there are too many: the oldest one of the profile that has the most.
    pub(crate) fn surplus(&self) -> Option<u64> {
        self.ranks.last().map(|(_, Reverse(number), _)| *number)
    }

    /// Changes the dead letters of an owner and keeps its rank in step.
    fn ranked(&mut self, owner: Owner, change: impl FnOnce(&mut Self)) {
        if let Some(rank) = self.rank(owner) {
            self.ranks.remove(&rank);
        }
        change(self);
        match self.rank(owner) {
            Some(rank) => {
                self.ranks.insert(rank);
            }
            None => {
                self.counts.remove(&owner);
            }
        }
    }

    fn rank(&self, owner: Owner) -> Option<Rank> {
        let mut all = self.of_owner.range((owner, 0)..=(owner, u64::MAX));
        let (&(_, oldest), _) = all.next()?;
        let count = self.counts.get(&owner)?;
        Some((*count, Reverse(oldest), owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(profile: u128, segment: u32, offset: u64) -> Option<DeadEntry> {
        let key = Key {
            profile: ProfileId(profile),
            segment: SegmentId(segment),
        };
        Some(DeadEntry { key, offset })
    }

    #[test]
    fn the_profile_with_most_letters_loses_its_oldest() {
        let mut letters = DeadIndex::default();
        letters.add(1, letter(1, 0, 10));
        letters.add(2, letter(2, 0, 11));
        letters.add(3, letter(2, 1, 12));
        letters.add(4, None);
        let mut dropped = Vec::new();
        while let Some(number) = letters.surplus() {
            assert!(letters.remove(number) && !letters.remove(number));
            dropped.push(number);
        }
        assert_eq!(dropped, [2, 1, 3, 4], "then the oldest of equals");
        assert_eq!(letters.count(), 0);
        assert!(letters.counts.is_empty() && letters.ranks.is_empty());
    }

    #[test]
    fn letters_of_a_key_are_found() {
        let mut letters = DeadIndex::default();
        letters.add(1, letter(1, 0, 10));
        letters.add(2, letter(1, 1, 11));
        letters.add(3, letter(1, 1, 12));
        letters.add(4, letter(2, 1, 13));
        let of_key = |profile, segment| {
            let key = letter(profile, segment, 0).unwrap().key;
            letters.of_key(&key)
        };
        assert_eq!(of_key(1, 1), [(2, 11), (3, 12)]);
        assert_eq!(of_key(3, 0), []);
        assert_eq!(letters.numbers().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
