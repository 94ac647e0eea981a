//! The part of one destination's queue that is in memory. Order holds per key (profile, segment):
//! one change of a key is in flight at most, and a key that waits for a retry parks only itself.
//!
//! A key keeps a few rows at most: a further one takes the place of the newest. Rows of a key are in
//! order of their offsets, because hand-in goes on from the cursor and a replay never goes behind a
//! newer row.
//!
//! Pure: no store, no clock. The caller writes down what the returned values say.

mod waiting;

use std::collections::{BTreeSet, HashMap, VecDeque};

use tidegate_event::{ProfileId, Timestamp};

use crate::intent::{Key, Row};

pub(crate) use waiting::Waiting;

/// Rows of one key, at most: the one that is sent or waits for its retry, and those behind it.
pub(crate) const KEY_ROWS_MAX: usize = 4;

/// A key's entry in the store's due index: when, and the offset that created it. The offset makes
/// the entry unique, so a late removal of an old one never removes a newer one.
pub(crate) type Due = (Timestamp, u64);

/// Changes of the due index that belong to one write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DueChange {
    pub(crate) remove: Option<Due>,
    pub(crate) put: Option<Due>,
}

#[derive(Debug)]
struct Slot {
    row: Row,
    /// Its outbox row is durable; before that it is not sent.
    committed: bool,
}

#[derive(Debug, Default)]
struct Entry {
    /// In order of their offsets.
    rows: VecDeque<Slot>,
    uncommitted: usize,
    due: Due,
    /// Its place in `ready`.
    place: Option<(Timestamp, u64)>,
    in_flight: bool,
    /// Its first row failed and waits.
    parked: bool,
    /// Results not yet written to the store. The entry stays until they are, so that a refill
    /// never loads what is already done.
    settling: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    entries: HashMap<Key, Entry>,
    waiting: Waiting,
    ready: BTreeSet<(Timestamp, u64, Key)>,
    next_seq: u64,
    resident_max: usize,
    /// The store may hold keys that are not here.
    overflow: bool,
    /// No key outside memory is due before this.
    outside_due: Timestamp,
    refilling: bool,
    /// No refill before this.
    refill_after: Timestamp,
}

impl Queue {
    /// Starts with everything still in the store.
    pub(crate) fn new(resident_max: usize, waiting: Waiting) -> Self {
        Self {
            entries: HashMap::new(),
            waiting,
            ready: BTreeSet::new(),
            next_seq: 0,
            resident_max: resident_max.max(1),
            overflow: true,
            outside_due: Timestamp(i64::MIN),
            refilling: false,
            refill_after: Timestamp(i64::MIN),
        }
    }

    /// True where a new key must not enter memory: the store holds earlier ones.
    pub(crate) fn takes_only_known(&mut self) -> bool {
        self.overflow |= self.entries.len() >= self.resident_max;
        self.overflow
    }

    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// True where no key is in memory.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Rows of a key, in memory or not.
    pub(crate) fn rows_of(&self, key: &Key) -> u64 {
        self.waiting.rows_of(key)
    }

    /// True where the profile has rows, in memory or not.
    pub(crate) fn has_profile(&self, profile: ProfileId) -> bool {
        self.waiting.has_profile(profile)
    }

    /// Puts a row of a key in memory in the place of the key's newest one, not yet sendable, and
    /// returns the offset of that: where the key has `rows_max` rows, and behind a row that waits
    /// for its retry. A row that was attempted is never replaced. A row of the same offset always
    /// is, unless it is stored already.
    pub(crate) fn coalesce(&mut self, row: &Row, rows_max: usize) -> Option<u64> {
        let key = row.key();
        let entry = self.entries.get_mut(&key)?;
        let replaced = entry.coalesce(row, rows_max)?;
        self.place(&key);
        Some(replaced)
    }

    /// Puts a further row in line, not yet sendable. Returns the due entry of a key's first row.
    pub(crate) fn stage(&mut self, row: Row, due: Timestamp) -> Option<Due> {
        let key = row.key();
        let offset = row.intent.offset();
        self.waiting.add(key);
        let entry = self.entries.entry(key).or_default();
        let first = entry.rows.is_empty();
        if first {
            entry.due = (due, offset);
        }
        let due = entry.due;
        entry.insert(row);
        self.place(&key);
        first.then_some(due)
    }

    /// Notes a further row that goes to the store only. Returns the due entry of a key's first row.
    pub(crate) fn stage_outside(&mut self, key: Key, due: Due) -> Option<Due> {
        let first = self.waiting.rows_of(&key) == 0;
        self.waiting.add(key);
        self.note_outside(due.0);
        first.then_some(due)
    }

    /// Rows of a key left the outbox without being sent.
    pub(crate) fn removed(&mut self, key: &Key, rows: u64) {
        self.waiting.remove(key, rows);
    }

    /// The row is durable: it may be sent.
    pub(crate) fn commit(&mut self, key: &Key, offset: u64) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.commit(offset);
        }
        self.place(key);
    }

    /// When the first key is due; None when nothing waits.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.ready.first().map(|(due, ..)| *due)
    }

    /// Takes the first row that is due; its key is in flight until `finish_*`.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<(Key, Row)> {
        let key = self.ready.first().filter(|(due, ..)| *due <= now)?.2;
        let entry = self.entries.get_mut(&key)?;
        let row = entry.rows.front()?.row.clone();
        entry.in_flight = true;
        self.place(&key);
        Some((key, row))
    }

    /// As `take`, but only a row that `wanted` names.
    pub(crate) fn take_if(
        &mut self,
        now: Timestamp,
        wanted: impl Fn(&Row) -> bool,
    ) -> Option<(Key, Row)> {
        let (_, _, key) = self.ready.first().filter(|(due, ..)| *due <= now)?;
        let front = self.entries.get(key)?.rows.front()?;
        if wanted(&front.row) {
            self.take(now)
        } else {
            None
        }
    }

    /// The row in flight is done with, well or badly.
    pub(crate) fn finish_removed(&mut self, key: &Key) -> DueChange {
        let Some(entry) = self.entries.get_mut(key) else {
            return DueChange::default();
        };
        entry.rows.pop_front();
        entry.in_flight = false;
        entry.parked = false;
        entry.settling += 1;
        let remove = entry.rows.is_empty().then_some(entry.due);
        self.place(key);
        DueChange { remove, put: None }
    }

    /// The row in flight failed and waits until `due`; its key with it.
    pub(crate) fn finish_parked(&mut self, key: &Key, row: Row, due: Timestamp) -> DueChange {
        let Some(entry) = self.entries.get_mut(key) else {
            return DueChange::default();
        };
        if let Some(slot) = entry.rows.front_mut() {
            slot.row = row;
        }
        entry.in_flight = false;
        entry.parked = true;
        entry.settling += 1;
        let old = entry.due;
        entry.due.0 = due;
        let moved = old != entry.due;
        let change = DueChange {
            remove: moved.then_some(old),
            put: moved.then_some(entry.due),
        };
        self.place(key);
        change
    }

    /// A result of this key is written; `gone` where the row left the outbox.
    pub(crate) fn settled(&mut self, key: &Key, gone: bool) {
        // Before the key may be forgotten: of a key that is not in memory, rows are in the store.
        self.waiting.remove(key, u64::from(gone));
        if let Some(entry) = self.entries.get_mut(key) {
            entry.settling = entry.settling.saturating_sub(1);
            if entry.settling == 0 && entry.rows.is_empty() && !entry.in_flight {
                self.entries.remove(key);
            }
        }
    }

    /// Rows in memory and the oldest one's time of queueing.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        let rows = self.entries.values().flat_map(|entry| &entry.rows);
        rows.map(|slot| slot.row.queued_at).min()
    }

    /// Keys whose first row failed and waits.
    pub(crate) fn parked(&self) -> usize {
        self.entries.values().filter(|entry| entry.parked).count()
    }

    /// Keeps `ready` in step with the entry: listed exactly when its first row may be sent.
    fn place(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let sendable = !entry.in_flight && entry.rows.front().is_some_and(|slot| slot.committed);
        if let Some((due, seq)) = entry.place {
            if sendable && due == entry.due.0 {
                return;
            }
            self.ready.remove(&(due, seq, *key));
            entry.place = None;
        }
        if sendable {
            self.next_seq += 1;
            entry.place = Some((entry.due.0, self.next_seq));
            self.ready.insert((entry.due.0, self.next_seq, *key));
        }
    }
}

impl Entry {
    /// See [`Queue::coalesce`].
    fn coalesce(&mut self, row: &Row, rows_max: usize) -> Option<u64> {
        let offset = row.intent.offset();
        let full = self.parked || self.rows.len() >= rows_max;
        let alone_in_flight = self.in_flight && self.rows.len() == 1;
        let newest = self.rows.back_mut()?;
        let old = newest.row.intent.offset();
        if old == offset {
            if !newest.committed {
                newest.row = row.clone();
            }
            return Some(old);
        }
        if !full || alone_in_flight || newest.row.attempts > 0 || old > offset {
            return None;
        }
        newest.row = row.clone();
        if std::mem::take(&mut newest.committed) {
            self.uncommitted += 1;
        }
        Some(old)
    }

    fn insert(&mut self, row: Row) {
        let at = self.position(row.intent.offset());
        let at = at.max(usize::from(self.in_flight)).min(self.rows.len());
        self.uncommitted += 1;
        self.rows.insert(
            at,
            Slot {
                row,
                committed: false,
            },
        );
    }

    fn commit(&mut self, offset: u64) {
        let at = self.position(offset);
        let slot = self.rows.get_mut(at);
        let slot = slot.filter(|slot| slot.row.intent.offset() == offset && !slot.committed);
        if let Some(slot) = slot {
            slot.committed = true;
            self.uncommitted -= 1;
        }
    }

    /// Where the row of an offset is, or belongs.
    fn position(&self, offset: u64) -> usize {
        let before = |slot: &Slot| slot.row.intent.offset() < offset;
        self.rows.partition_point(before)
    }
}

/// Refilling from the store.
impl Queue {
    /// True where the store should be asked for more, and marks that it was.
    pub(crate) fn wants_refill(&mut self, now: Timestamp) -> bool {
        if !self.overflow || self.refilling || now < self.refill_after {
            return false;
        }
        let starving = self.next_due().is_none_or(|due| due > now) && self.outside_due <= now;
        self.refilling = starving || self.entries.len() <= self.resident_max / 2;
        self.refilling
    }

    /// When to ask for keys outside memory; None where there are none.
    pub(crate) fn outside_due(&self) -> Option<Timestamp> {
        let at = self.outside_due.max(self.refill_after);
        self.overflow.then_some(at)
    }

    /// No key outside memory is due before this. The entries of the due index before it are of
    /// keys in memory, or gone.
    pub(crate) const fn outside_from(&self) -> Timestamp {
        self.outside_due
    }

    /// Notes a key that went to the store only.
    fn note_outside(&mut self, due: Timestamp) {
        self.overflow = true;
        self.outside_due = self.outside_due.min(due);
    }

    /// Makes room by forgetting keys that wait longest; they stay in the store.
    pub(crate) fn evict_waiting(&mut self, now: Timestamp) {
        let keep = self.resident_max / 2;
        while self.entries.len() > keep {
            let Some(&(due, seq, key)) = self.ready.last() else {
                break;
            };
            let idle = self.entries.get(&key).is_some_and(Entry::is_idle);
            if due.since(now) < 1_000 || !idle {
                break;
            }
            self.ready.remove(&(due, seq, key));
            self.entries.remove(&key);
            self.note_outside(due);
        }
    }

    /// Takes a key's rows from the store; false when memory is full.
    pub(crate) fn load(&mut self, key: Key, due: Due, rows: Vec<Row>) -> bool {
        if self.entries.len() >= self.resident_max {
            return false;
        }
        let entry = self.entries.entry(key).or_default();
        if entry.rows.is_empty() && entry.settling == 0 {
            entry.due = due;
            entry.parked = rows.first().is_some_and(|row| row.attempts > 0);
            entry.rows = rows
                .into_iter()
                .map(|row| Slot {
                    row,
                    committed: true,
                })
                .collect();
        }
        self.place(&key);
        true
    }

    /// Ends a refill: `outside` is when the first key that stayed outside is due, and `again` when
    /// the next refill may try it.
    pub(crate) fn refilled(&mut self, outside: Option<Timestamp>, again: Timestamp) {
        self.refilling = false;
        self.overflow = outside.is_some();
        self.outside_due = outside.unwrap_or(Timestamp(i64::MAX));
        self.refill_after = again;
    }
}

impl Entry {
    fn is_idle(&self) -> bool {
        !self.in_flight && self.settling == 0 && self.uncommitted == 0
    }
}

#[cfg(test)]
mod tests;
