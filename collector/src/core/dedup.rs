//! Exact deduplication: 128-bit keyed hashes of what makes two copies one event, and the offset
//! of the copy that counts.
//!
//! A key is claimed before its event is folded and settled with the offset at once after; a second
//! copy that meets a claim waits for it. The oldest offsets go first when the window or the bound
//! is passed.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use parking_lot::Mutex;

const SHARDS: usize = 64;
/// The offset of a claim that is not settled.
const CLAIMED: u64 = u64::MAX;

/// The keys are hashes already; hashing them again would buy nothing.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, value: u64) {
        self.0 ^= value.rotate_left(32);
    }
}

/// Two u64 rather than a u128: 24 bytes an entry instead of 32.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key([u64; 2]);

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[1]);
    }
}

#[derive(Default)]
struct Shard {
    offsets: HashMap<Key, u64, BuildHasherDefault<AsIs>>,
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

/// A key claimed by this copy. Dropped unsettled, the key is free again.
#[derive(Debug)]
pub struct Claim<'a> {
    dedup: &'a Dedup,
    key: u128,
    settled: bool,
}

impl Claim<'_> {
    /// The event stands at `offset`.
    pub fn settle(mut self, offset: u64) {
        self.settled = true;
        self.dedup.remember(self.key, offset, true);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.dedup
                .shard(self.key)
                .lock()
                .offsets
                .remove(&key(self.key));
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
        match shard.offsets.get(&key(wanted)) {
            Some(&CLAIMED) => Seen::Pending,
            Some(offset) => Seen::Before(*offset),
            None => {
                shard.offsets.insert(key(wanted), CLAIMED);
                Seen::First(Claim {
                    dedup: self,
                    key: wanted,
                    settled: false,
                })
            }
        }
    }

    /// Remembers that the copy of `wanted` at `offset` counts; `unsaved` where the store does not
    /// know it yet.
    pub fn remember(&self, wanted: u128, offset: u64, unsaved: bool) {
        let mut shard = self.shard(wanted).lock();
        if shard.offsets.len() >= self.per_shard_max {
            shard.forget_oldest_eighth();
        }
        shard.offsets.insert(key(wanted), offset);
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

    /// Forgets every key of an offset below `offset`.
    pub fn forget_below(&self, offset: u64) {
        for shard in &self.shards {
            shard.lock().offsets.retain(|_, at| *at >= offset);
        }
    }

    /// The lowest offset remembered.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.shards
            .iter()
            .filter_map(|shard| {
                shard
                    .lock()
                    .offsets
                    .values()
                    .copied()
                    .filter(|o| *o != CLAIMED)
                    .min()
            })
            .min()
    }

    /// Keys remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().offsets.len())
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
    /// In eighths, so that finding the oldest costs little per insertion.
    fn forget_oldest_eighth(&mut self) {
        let mut offsets: Vec<u64> = self
            .offsets
            .values()
            .copied()
            .filter(|offset| *offset != CLAIMED)
            .collect();
        if offsets.is_empty() {
            return;
        }
        let eighth = offsets.len() / 8;
        let (_, threshold, _) = offsets.select_nth_unstable(eighth);
        let threshold = *threshold;
        self.offsets.retain(|_, offset| *offset >= threshold);
    }
}

fn key(wanted: u128) -> Key {
    let bytes = wanted.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    let half = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |n, byte| n << 8 | u64::from(*byte))
    };
    Key([half(low), half(high)])
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
        claim.settle(42);
        assert!(matches!(dedup.begin(7), Seen::Before(42)));
        assert_eq!(dedup.unsaved(42), []);
        assert_eq!(dedup.unsaved(43), [(7, 42)]);
        assert_eq!(dedup.unsaved(43), [], "each key is handed over once");
    }

    #[test]
    fn a_claim_that_is_dropped_frees_its_key() {
        let dedup = Dedup::new(1_000);
        drop(dedup.begin(7));
        assert!(matches!(dedup.begin(7), Seen::First(_)));
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
