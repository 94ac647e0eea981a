//! Exact deduplication: 128-bit keyed hashes of what makes two copies one event, and the offset
//! of the copy that counts.
//!
//! A key is claimed before its event is folded and settled with the offset at once after; a second
//! copy that meets a claim waits for it. Keys stand in the order in which they came, which but for
//! what is folded at the same moment is that of their offsets: the oldest go first when the window
//! or the bound is passed.

use std::collections::VecDeque;

use hashbrown::HashTable;
use parking_lot::Mutex;

const SHARDS: usize = 64;
/// The offset of a claim that is not settled.
const CLAIMED: u64 = u64::MAX;
/// The offset of a claim that was dropped, until its entry goes.
const FREED: u64 = u64::MAX - 1;

// A u128's own alignment would make it 32 bytes.
#[repr(Rust, packed(8))]
#[derive(Clone, Copy)]
struct Entry {
    key: u128,
    offset: u64,
}

/// A busy gateway remembers more keys than anything else: 24 bytes each, up to an eighth of spare
/// room, and 6 to 11 for the table, which doubles when it grows.
#[derive(Default)]
struct Shard {
    entries: VecDeque<Entry>,
    /// The numbers of the first entry and of the next one.
    first: u32,
    next: u32,
    /// Numbers of entries by their key.
    numbers: HashTable<u32>,
    /// Settled since the last checkpoint.
    unsaved: Vec<(u128, u64)>,
}

/// All remembered keys.
pub struct Dedup {
    shards: Box<[Mutex<Shard>]>,
    per_shard_max: usize,
}

impl std::fmt::Debug for Dedup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dedup").finish_non_exhaustive()
    }
}

/// What a key's look-up gave.
#[derive(Debug)]
pub enum Seen<'a> {
    /// Nobody had it: it is claimed for the caller.
    First(Claim<'a>),
    /// The copy at this offset counts.
    Before(u64),
    /// Another copy is being folded right now; look again.
    Pending,
}

/// A key claimed by this copy. Dropped before its event was remembered, the key is free again.
#[derive(Debug)]
pub struct Claim<'a> {
    dedup: &'a Dedup,
    key: u128,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut shard = self.dedup.shard(self.key).lock();
        if shard
            .find(self.key)
            .is_some_and(|entry| entry.offset == CLAIMED)
        {
            shard.free(self.key);
        }
    }
}

impl Dedup {
    /// Remembers at most `entries_max` keys.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            per_shard_max: entries_max.div_ceil(SHARDS).max(8),
        }
    }

    /// Looks `key` up and claims it where it is new.
    pub fn begin(&self, wanted: u128) -> Seen<'_> {
        let mut shard = self.shard(wanted).lock();
        match shard.find(wanted).map(|entry| entry.offset) {
            Some(CLAIMED) => Seen::Pending,
            Some(offset) => Seen::Before(offset),
            None => {
                shard.push(wanted, CLAIMED, self.per_shard_max);
                Seen::First(Claim {
                    dedup: self,
                    key: wanted,
                })
            }
        }
    }

    /// Whether a copy is remembered, or being folded right now.
    pub fn contains(&self, wanted: u128) -> bool {
        self.shard(wanted).lock().find(wanted).is_some()
    }

    /// Remembers that the copy of `wanted` at `offset` counts; `unsaved` where the store does not
    /// know it yet. Before that copy can be durable: a checkpoint saves what it finds here.
    pub fn remember(&self, wanted: u128, offset: u64, unsaved: bool) {
        let mut shard = self.shard(wanted).lock();
        match shard.find(wanted) {
            Some(entry) if [CLAIMED, offset].contains(&entry.offset) => entry.offset = offset,
            known => {
                // Forgotten once and taken again: the order is that of the offsets.
                if known.is_some() {
                    shard.free(wanted);
                }
                shard.push(wanted, offset, self.per_shard_max);
            }
        }
        if unsaved {
            shard.unsaved.push((wanted, offset));
        }
    }

    /// Takes what was settled below `durable` since the last call, in order of offset.
    #[must_use]
    pub fn unsaved(&self, durable: u64) -> Vec<(u128, u64)> {
        let mut rows = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let (ready, rest) = shard
                .unsaved
                .drain(..)
                .partition(|(_, offset)| *offset < durable);
            shard.unsaved = rest;
            rows.extend::<Vec<_>>(ready);
        }
        rows.sort_unstable_by_key(|(_, offset)| *offset);
        rows
    }

    /// Takes back what could not be saved.
    pub fn not_saved(&self, rows: impl IntoIterator<Item = (u128, u64)>) {
        for (key, offset) in rows {
            self.shard(key).lock().unsaved.push((key, offset));
        }
    }

    /// Forgets every key of an offset below `offset`.
    pub fn forget_below(&self, offset: u64) {
        for shard in &self.shards {
            shard.lock().forget_while(|oldest| oldest.offset < offset);
        }
    }

    /// The lowest offset remembered.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.shards
            .iter()
            .filter_map(|shard| {
                let shard = shard.lock();
                let mut offsets = shard.entries.iter().map(|entry| entry.offset);
                offsets.find(|offset| *offset < FREED)
            })
            .min()
    }

    /// Keys remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().numbers.len())
            .sum()
    }

    /// True where none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: u128) -> &Mutex<Shard> {
        let lowest = usize::from(key.to_le_bytes()[0]);
        &self.shards[lowest % SHARDS]
    }
}

impl Shard {
    fn find(&mut self, key: u128) -> Option<&mut Entry> {
        let (entries, first) = (&self.entries, self.first);
        let is_its = |number: &u32| entries[position(first, *number)].key == key;
        let number = *self.numbers.find(hash(key), is_its)?;
        self.entries.get_mut(position(first, number))
    }

    fn push(&mut self, key: u128, offset: u64, max: usize) {
        if self.entries.len() >= max {
            let mut one = true;
            self.forget_while(|_| std::mem::take(&mut one));
        }
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(self.entries.len() / 8 + 8);
        }
        self.entries.push_back(Entry { key, offset });
        let (entries, first) = (&self.entries, self.first);
        let hash_of = |number: &u32| hash(entries[position(first, *number)].key);
        self.numbers.insert_unique(hash(key), self.next, hash_of);
        self.next = self.next.wrapping_add(1);
    }

    /// Lets a claim go that came to nothing. Refused hits may be many, so they leave no entries
    /// behind; only where a later key was settled meanwhile one stays until its turn to go.
    fn free(&mut self, key: u128) {
        let Some(entry) = self.find(key) else { return };
        entry.offset = FREED;
        let (entries, first) = (&self.entries, self.first);
        let is_its = |number: &u32| entries[position(first, *number)].key == key;
        if let Ok(found) = self.numbers.find_entry(hash(key), is_its) {
            found.remove();
        }
        while self
            .entries
            .pop_back_if(|last| last.offset == FREED)
            .is_some()
        {
            self.next = self.next.wrapping_sub(1);
        }
    }

    /// Forgets the oldest keys; never a claim, which is new.
    fn forget_while(&mut self, mut goes: impl FnMut(&Entry) -> bool) {
        let mut may_go = |oldest: &mut Entry| match oldest.offset {
            CLAIMED => false,
            FREED => true,
            _ => goes(oldest),
        };
        while let Some(oldest) = self.entries.pop_front_if(&mut may_go) {
            let number = self.first;
            if let Ok(found) = self.numbers.find_entry(hash(oldest.key), |n| *n == number) {
                found.remove();
            }
            self.first = number.wrapping_add(1);
        }
    }
}

const fn position(first: u32, number: u32) -> usize {
    number.wrapping_sub(first) as usize
}

/// The keys are hashes already; hashing them again would buy nothing. The lowest bits chose the
/// shard.
const fn hash(key: u128) -> u64 {
    (key >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_copy_finds_the_first_ones_offset() {
        let dedup = Dedup::new(1_000);
        let Seen::First(claim) = dedup.begin(7) else {
            panic!("new")
        };
        assert!(matches!(dedup.begin(7), Seen::Pending));
        dedup.remember(7, 42, true);
        drop(claim);
        assert!(matches!(dedup.begin(7), Seen::Before(42)));
        assert_eq!(dedup.unsaved(42), []);
        assert_eq!(dedup.unsaved(43), [(7, 42)]);
        assert_eq!(dedup.unsaved(43), [], "each key is handed over once");
        dedup.not_saved([(7, 42)]);
        assert_eq!(dedup.unsaved(43), [(7, 42)], "until it is saved");
    }

    #[test]
    fn a_key_that_was_forgotten_and_came_again_goes_by_its_new_offset() {
        let dedup = Dedup::new(1_000);
        let in_one_shard = |n: u64| u128::from(n) << 64;
        for (n, offset) in [(0, 5), (1, 6), (0, 500)] {
            dedup.remember(in_one_shard(n), offset, false);
        }
        assert_eq!(dedup.oldest(), Some(6));
        dedup.forget_below(7);
        assert_eq!(dedup.len(), 1);
        assert!(matches!(dedup.begin(in_one_shard(0)), Seen::Before(500)));
    }

    #[test]
    fn a_claim_that_is_dropped_frees_its_key() {
        let dedup = Dedup::new(1_000);
        drop(dedup.begin(7));
        assert!(matches!(dedup.begin(7), Seen::First(_)));
    }

    #[test]
    fn refused_hits_push_no_key_out() {
        let dedup = Dedup::new(SHARDS * 8);
        let in_one_shard = |n: u64| u128::from(n) << 64;
        dedup.remember(in_one_shard(0), 0, false);
        for n in 1..1_000 {
            drop(dedup.begin(in_one_shard(n)));
        }
        assert!(matches!(dedup.begin(in_one_shard(0)), Seen::Before(0)));
        assert_eq!(dedup.len(), 1);
    }

    #[test]
    fn a_claim_dropped_between_two_settled_ones_goes_with_the_older() {
        let dedup = Dedup::new(SHARDS * 8);
        let in_one_shard = |n: u64| u128::from(n) << 64;
        dedup.remember(in_one_shard(0), 0, false);
        let dropped = dedup.begin(in_one_shard(1));
        dedup.remember(in_one_shard(2), 2, false);
        drop(dropped);
        assert!(matches!(dedup.begin(in_one_shard(1)), Seen::First(_)));
        dedup.forget_below(1);
        assert_eq!(dedup.oldest(), Some(2));
        assert_eq!(dedup.len(), 1);
        assert!(matches!(dedup.begin(in_one_shard(2)), Seen::Before(2)));
    }

    #[test]
    fn the_oldest_go_first_at_the_bound() {
        let dedup = Dedup::new(SHARDS * 8);
        let spread = |n: u64| u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        for n in 0..10_000u64 {
            dedup.remember(spread(n), n, false);
        }
        assert!(dedup.len() <= SHARDS * 8);
        assert!(dedup.oldest().unwrap() > 8_000);
        assert!(matches!(dedup.begin(spread(9_999)), Seen::Before(9_999)));
        dedup.forget_below(9_999);
        assert_eq!(dedup.oldest(), Some(9_999));
    }
}
