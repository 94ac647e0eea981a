//! Declared aggregates of one profile, kept as a flat list of 16-byte cells: only buckets that an
//! event fell into exist. Count, sum and distinct forget with their window; the rest never do.

use serde::{Deserialize, Serialize};
use tidegate_event::{AggregateHit, AggregateKind, AggregateSpec, HitValue, Timestamp};

use crate::list::List;

/// Distinct values are exact up to here; a further one then replaces the oldest, unless it is older.
const DISTINCT_MAX: usize = 64;
/// `Then` and `Absent`: the newest A.
const SLOT_A: u32 = 0;
/// `Then`: the B that satisfied it. `Absent`: the newest B.
const SLOT_B: u32 = 1;

/// An aggregate's key in the cells: its id with the kind in the lowest three bits, so that a merge
/// knows how to join two cells without a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellKey(u32);

impl CellKey {
    /// The key of an aggregate.
    #[must_use]
    pub const fn of(spec: &AggregateSpec) -> Self {
        let kind = match spec.kind {
            AggregateKind::Count => 0,
            AggregateKind::Sum => 1,
            AggregateKind::Distinct => 2,
            AggregateKind::Last => 3,
            AggregateKind::First => 4,
            AggregateKind::Then => 5,
            AggregateKind::Absent => 6,
        };
        Self(spec.id.0 & !7 | kind)
    }

    const fn kind(self) -> AggregateKind {
        match self.0 & 7 {
            0 => AggregateKind::Count,
            1 => AggregateKind::Sum,
            2 => AggregateKind::Distinct,
            3 => AggregateKind::Last,
            4 => AggregateKind::First,
            5 => AggregateKind::Then,
            _ => AggregateKind::Absent,
        }
    }
}

/// One bucket (count, sum), one value (distinct) or one point in time (the rest).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cell {
    key: CellKey,
    /// Bucket number modulo 2^32: buckets in force lie within 60 of each other.
    bucket: u32,
    /// A count, the bits of a double, a value's hash, or milliseconds.
    value: u64,
}

/// All aggregates of one profile, ordered by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cells(List<Cell>);

/// What an aggregate is worth now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `Count`, `Distinct`
    Int(i64),
    /// `Sum`
    Float(f64),
    /// `Last`, `First`
    Time(Timestamp),
    /// `Then`, `Absent`
    Bool(bool),
    /// `Last`, `First` before any match.
    Never,
}

/// A value, and when the window alone may change it next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// What it is worth now.
    pub value: Value,
    /// When a bucket leaves the window, or `Absent` becomes true; None: only an event changes it.
    pub edge: Option<Timestamp>,
}

impl Cells {
    /// Adds what one event brings. A bucket that has left the window by `now` stays closed.
    pub fn add(&mut self, hit: &AggregateHit, at: Timestamp, now: Timestamp) {
        let key = CellKey::of(&hit.spec);
        match (hit.spec.kind, hit.value) {
            (AggregateKind::Count, _) => self.add_bucket(key, &hit.spec, at, now, |v| v + 1),
            (AggregateKind::Sum, HitValue::Number(number)) => {
                self.add_bucket(key, &hit.spec, at, now, |bits| {
                    (f64::from_bits(bits) + number).to_bits()
                });
            }
            (AggregateKind::Distinct, HitValue::Value(hash)) => {
                self.add_distinct(key, &hit.spec, hash, at, now);
            }
            (AggregateKind::Last, _) => self.put_time(key, SLOT_A, at, i64::max),
            (AggregateKind::First, _) => self.put_time(key, SLOT_A, at, i64::min),
            (AggregateKind::Then | AggregateKind::Absent, HitValue::A) => self.newest_a(key, at),
            (AggregateKind::Then, HitValue::B) => self.then_b(key, at, hit.spec.window_ms),
            (AggregateKind::Absent, HitValue::B) => self.put_time(key, SLOT_B, at, i64::max),
            // A value of another kind's shape cannot come from our compiler; it adds nothing.
            (
                AggregateKind::Sum
                | AggregateKind::Distinct
                | AggregateKind::Then
                | AggregateKind::Absent,
                _,
            ) => {}
        }
    }

    /// Reads aggregates that are ordered by [`CellKey`], in one pass.
    pub fn read<'a>(
        &self,
        specs: impl Iterator<Item = &'a (CellKey, AggregateSpec)>,
        now: Timestamp,
        mut each: impl FnMut(Reading),
    ) {
        let mut rest = &*self.0;
        for (key, spec) in specs {
            let skip = rest.iter().take_while(|cell| cell.key < *key).count();
            rest = &rest[skip..];
            let own = rest.iter().take_while(|cell| cell.key == *key).count();
            each(reading(&rest[..own], spec, now));
            rest = &rest[own..];
        }
    }

    /// Joins another profile's aggregates in: bucket by bucket, first = min, last = max,
    /// distinct = union up to its cap.
    pub fn merge(&mut self, other: &Self) {
        for cell in other.0.iter() {
            match cell.key.kind() {
                AggregateKind::Count => self.join(*cell, |a, b| a.saturating_add(b)),
                AggregateKind::Sum => {
                    self.join(*cell, |a, b| {
                        (f64::from_bits(a) + f64::from_bits(b)).to_bits()
                    });
                }
                AggregateKind::Distinct => self.join_distinct(*cell),
                AggregateKind::First => self.join(*cell, u64::min),
                AggregateKind::Last | AggregateKind::Then | AggregateKind::Absent => {
                    self.join(*cell, u64::max);
                }
            }
        }
    }

    /// Cells kept: 16 bytes each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where no event matched any aggregate yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn range(&self, key: CellKey) -> std::ops::Range<usize> {
        let start = self.0.partition_point(|cell| cell.key < key);
        let len = self.0[start..]
            .iter()
            .take_while(|cell| cell.key == key)
            .count();
        start..start + len
    }

    fn find(&self, key: CellKey, bucket: u32) -> Option<usize> {
        self.range(key)
            .find(|position| self.0[*position].bucket == bucket)
    }

    fn insert(&mut self, cell: Cell) {
        let at = self.range(cell.key).end;
        self.0.insert(at, cell);
    }

    fn forget_closed(&mut self, key: CellKey, now_bucket: u32) {
        let range = self.range(key);
        let mut position = range.end;
        while position > range.start {
            position -= 1;
            if !in_window(self.0[position].bucket, now_bucket) {
                self.0.remove(position);
            }
        }
    }

    fn add_bucket(
        &mut self,
        key: CellKey,
        spec: &AggregateSpec,
        at: Timestamp,
        now: Timestamp,
        add: impl Fn(u64) -> u64,
    ) {
        let Some((bucket, now_bucket)) = open_bucket(spec, at, now) else {
            return;
        };
        if let Some(found) = self.find(key, bucket) {
            self.0[found].value = add(self.0[found].value);
        } else {
            self.forget_closed(key, now_bucket);
            self.insert(Cell {
                key,
                bucket,
                value: add(0),
            });
        }
    }

    fn add_distinct(
        &mut self,
        key: CellKey,
        spec: &AggregateSpec,
        hash: u64,
        at: Timestamp,
        now: Timestamp,
    ) {
        let Some((bucket, now_bucket)) = open_bucket(spec, at, now) else {
            return;
        };
        self.forget_closed(key, now_bucket);
        self.join_distinct(Cell {
            key,
            bucket,
            value: hash,
        });
    }

    fn join_distinct(&mut self, cell: Cell) {
        let range = self.range(cell.key);
        if let Some(known) = self.0[range.clone()]
            .iter_mut()
            .find(|c| c.value == cell.value)
        {
            if later(cell.bucket, known.bucket) {
                known.bucket = cell.bucket;
            }
        } else if range.len() < DISTINCT_MAX {
            self.insert(cell);
        } else if let Some(oldest) = self.0[range]
            .iter_mut()
            .reduce(|a, b| if later(a.bucket, b.bucket) { b } else { a })
            .filter(|oldest| later(cell.bucket, oldest.bucket))
        {
            *oldest = cell;
        }
    }

    fn join(&mut self, cell: Cell, with: impl Fn(u64, u64) -> u64) {
        if let Some(found) = self.find(cell.key, cell.bucket) {
            self.0[found].value = with(self.0[found].value, cell.value);
        } else {
            self.insert(cell);
        }
    }

    fn put_time(&mut self, key: CellKey, slot: u32, at: Timestamp, pick: fn(i64, i64) -> i64) {
        let value = from_time(at);
        self.join(
            Cell {
                key,
                bucket: slot,
                value,
            },
            |a, b| from_time(Timestamp(pick(to_time(a).0, to_time(b).0))),
        );
    }

    fn time(&self, key: CellKey, slot: u32) -> Option<Timestamp> {
        self.find(key, slot)
            .map(|found| to_time(self.0[found].value))
    }

    /// The newest A of a `then` or `absent` begins anew. Of two events of one millisecond the one
    /// that arrived later counts as later, so a B of the same time goes. An event that is both is
    /// the B of the A before it first, then the new A.
    fn newest_a(&mut self, key: CellKey, at: Timestamp) {
        if self.time(key, SLOT_A).is_some_and(|a| at < a) {
            return;
        }
        self.put_time(key, SLOT_A, at, i64::max);
        if let Some(found) = self.find(key, SLOT_B)
            && to_time(self.0[found].value) <= at
        {
            self.0.remove(found);
        }
    }

    fn then_b(&mut self, key: CellKey, at: Timestamp, window_ms: u64) {
        let after = self.time(key, SLOT_A).map(|a| at.since(a));
        if after.is_some_and(|ms| ms >= 0 && ms.unsigned_abs() <= window_ms) {
            self.put_time(key, SLOT_B, at, i64::max);
        }
    }
}

fn from_time(at: Timestamp) -> u64 {
    at.0.max(0).unsigned_abs()
}

fn to_time(value: u64) -> Timestamp {
    Timestamp(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Without a window everything falls into one bucket that never closes.
fn bucket_number(spec: &AggregateSpec, at: Timestamp) -> u64 {
    if spec.window_ms == 0 {
        0
    } else {
        from_time(at) / spec.bucket_ms()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bucket numbers are kept modulo 2^32"
)]
const fn modulo(bucket: u64) -> u32 {
    bucket as u32
}

/// The buckets of `at` and of `now`, where the first is still in the window.
fn open_bucket(spec: &AggregateSpec, at: Timestamp, now: Timestamp) -> Option<(u32, u32)> {
    let now_bucket = bucket_number(spec, now);
    let bucket = bucket_number(spec, at).min(now_bucket);
    (now_bucket - bucket < AggregateSpec::BUCKETS).then_some((modulo(bucket), modulo(now_bucket)))
}

fn in_window(bucket: u32, now_bucket: u32) -> bool {
    u64::from(now_bucket.wrapping_sub(bucket)) < AggregateSpec::BUCKETS
}

/// True where bucket `a` is not before `b`.
fn later(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) < u32::MAX / 2
}

fn reading(cells: &[Cell], spec: &AggregateSpec, now: Timestamp) -> Reading {
    let time = |slot: u32| {
        cells
            .iter()
            .find(|c| c.bucket == slot)
            .map(|c| to_time(c.value))
    };
    let still = |value| Reading { value, edge: None };
    match spec.kind {
        AggregateKind::Count | AggregateKind::Sum | AggregateKind::Distinct => {
            windowed(cells, spec, now)
        }
        AggregateKind::Last | AggregateKind::First => {
            still(time(SLOT_A).map_or(Value::Never, Value::Time))
        }
        // After a merge the newest A may be another profile's, later than this B.
        AggregateKind::Then => {
            let (a, b) = (time(SLOT_A), time(SLOT_B));
            still(Value::Bool(b.is_some() && b >= a))
        }
        AggregateKind::Absent => {
            let Some(a) = time(SLOT_A) else {
                return still(Value::Bool(false));
            };
            if time(SLOT_B).is_some_and(|b| b >= a) {
                return still(Value::Bool(false));
            }
            let due = a.plus_ms(i64::try_from(spec.window_ms).unwrap_or(i64::MAX));
            if now >= due {
                still(Value::Bool(true))
            } else {
                Reading {
                    value: Value::Bool(false),
                    edge: Some(due),
                }
            }
        }
    }
}

fn windowed(cells: &[Cell], spec: &AggregateSpec, now: Timestamp) -> Reading {
    if cells.is_empty() {
        // Most profiles have cells of few aggregates, and finding the bucket is a division.
        let is_sum = spec.kind == AggregateKind::Sum;
        let value = if is_sum {
            Value::Float(0.0)
        } else {
            Value::Int(0)
        };
        return Reading { value, edge: None };
    }
    let now_bucket = bucket_number(spec, now);
    let (mut count, mut sum, mut oldest) = (0u64, 0f64, None::<u64>);
    for cell in cells
        .iter()
        .filter(|c| in_window(c.bucket, modulo(now_bucket)))
    {
        let age = u64::from(modulo(now_bucket).wrapping_sub(cell.bucket));
        oldest = Some(oldest.map_or(age, |o| o.max(age)));
        match spec.kind {
            AggregateKind::Sum => sum += f64::from_bits(cell.value),
            AggregateKind::Count => count = count.saturating_add(cell.value),
            AggregateKind::Distinct
            | AggregateKind::Last
            | AggregateKind::First
            | AggregateKind::Then
            | AggregateKind::Absent => count += 1,
        }
    }
    let value = if spec.kind == AggregateKind::Sum {
        Value::Float(sum)
    } else {
        Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
    };
    // The oldest bucket leaves when the clock enters the bucket 60 after it.
    let edge = oldest
        .filter(|_| spec.window_ms > 0)
        .map(|age| to_time((now_bucket - age + AggregateSpec::BUCKETS) * spec.bucket_ms()));
    Reading { value, edge }
}

#[cfg(test)]
mod tests {
    use tidegate_event::AggregateId;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn spec(kind: AggregateKind, window_ms: u64) -> AggregateSpec {
        AggregateSpec {
            id: AggregateId(0xabcd_ef00),
            kind,
            window_ms,
        }
    }

    fn read(cells: &Cells, spec: &AggregateSpec, now: i64) -> Reading {
        let mut found = None;
        let keyed = [(CellKey::of(spec), *spec)];
        cells.read(keyed.iter(), Timestamp(now), |reading| {
            found = Some(reading);
        });
        found.unwrap()
    }

    fn hit(spec: AggregateSpec, value: HitValue) -> AggregateHit {
        AggregateHit { spec, value }
    }

    const T: i64 = 1_800_000_000_000;

    #[test]
    fn a_count_forgets_a_bucket_when_it_leaves_the_window_and_says_when() {
        let count = spec(AggregateKind::Count, HOUR);
        let mut cells = Cells::default();
        cells.add(&hit(count, HitValue::Matched), Timestamp(T), Timestamp(T));
        cells.add(
            &hit(count, HitValue::Matched),
            Timestamp(T + 1),
            Timestamp(T + 1),
        );
        let now = read(&cells, &count, T + 2);
        assert_eq!(now.value, Value::Int(2));
        let edge = now.edge.unwrap().0;
        assert!(
            (T + 59 * 60_000..=T + 61 * 60_000).contains(&edge),
            "moves by at most 1/60"
        );
        assert_eq!(read(&cells, &count, edge - 1).value, Value::Int(2));
        assert_eq!(
            read(&cells, &count, edge),
            Reading {
                value: Value::Int(0),
                edge: None
            }
        );
    }

    #[test]
    fn a_late_event_counts_in_its_own_bucket_only_while_that_is_open() {
        let count = spec(AggregateKind::Count, HOUR);
        let mut cells = Cells::default();
        cells.add(
            &hit(count, HitValue::Matched),
            Timestamp(T - 30 * 60_000),
            Timestamp(T),
        );
        cells.add(
            &hit(count, HitValue::Matched),
            Timestamp(T - 61 * 60_000),
            Timestamp(T),
        );
        assert_eq!(read(&cells, &count, T).value, Value::Int(1));
        assert_eq!(read(&cells, &count, T + 31 * 60_000).value, Value::Int(0));
    }

    #[test]
    fn a_count_without_a_window_never_forgets_and_never_wakes() {
        let count = spec(AggregateKind::Count, 0);
        let mut cells = Cells::default();
        for day in 0..400 {
            let at = Timestamp(T + day * 86_400_000);
            cells.add(&hit(count, HitValue::Matched), at, at);
        }
        let later = T + 4_000 * 86_400_000;
        assert_eq!(
            read(&cells, &count, later),
            Reading {
                value: Value::Int(400),
                edge: None
            }
        );
        assert_eq!(cells.len(), 1);
    }

    #[test]
    fn distinct_is_exact_to_64_and_stays_there() {
        let distinct = spec(AggregateKind::Distinct, HOUR);
        let mut cells = Cells::default();
        for value in 0..100u64 {
            for _ in 0..2 {
                cells.add(
                    &hit(distinct, HitValue::Value(value)),
                    Timestamp(T),
                    Timestamp(T),
                );
            }
            let expected = i64::try_from(value + 1).unwrap().min(64);
            assert_eq!(read(&cells, &distinct, T).value, Value::Int(expected));
        }
        assert_eq!(cells.len(), 64);
    }

    #[test]
    fn first_is_the_earliest_and_last_the_latest_in_any_order() {
        let (first, last) = (spec(AggregateKind::First, 0), spec(AggregateKind::Last, 0));
        let mut cells = Cells::default();
        assert_eq!(read(&cells, &first, T).value, Value::Never);
        for at in [5, 3, 9] {
            for spec in [first, last] {
                cells.add(
                    &hit(spec, HitValue::Matched),
                    Timestamp(T + at),
                    Timestamp(T + 9),
                );
            }
        }
        assert_eq!(read(&cells, &first, T).value, Value::Time(Timestamp(T + 3)));
        assert_eq!(read(&cells, &last, T).value, Value::Time(Timestamp(T + 9)));
    }

    #[test]
    fn absent_becomes_true_when_the_window_after_a_passes_without_b() {
        let absent = spec(AggregateKind::Absent, 1_200_000);
        let mut cells = Cells::default();
        let add = |cells: &mut Cells, value, at| {
            cells.add(&hit(absent, value), Timestamp(at), Timestamp(at));
        };
        assert_eq!(read(&cells, &absent, T).value, Value::Bool(false));
        add(&mut cells, HitValue::A, T);
        let due = T + 1_200_000;
        assert_eq!(
            read(&cells, &absent, due - 1),
            Reading {
                value: Value::Bool(false),
                edge: Some(Timestamp(due))
            }
        );
        assert_eq!(
            read(&cells, &absent, due),
            Reading {
                value: Value::Bool(true),
                edge: None
            }
        );
        add(&mut cells, HitValue::B, due + 5);
        assert_eq!(read(&cells, &absent, due + 5).value, Value::Bool(false));
        add(&mut cells, HitValue::A, due + 6);
        assert_eq!(
            read(&cells, &absent, due + 6).edge,
            Some(Timestamp(due + 6 + 1_200_000))
        );
    }

    #[test]
    fn an_event_that_is_both_ends_one_absence_and_begins_another() {
        let absent = spec(AggregateKind::Absent, 60_000);
        let mut cells = Cells::default();
        for at in [T, T + 30_000] {
            for value in [HitValue::B, HitValue::A] {
                cells.add(&hit(absent, value), Timestamp(at), Timestamp(at));
            }
        }
        let due = T + 90_000;
        assert_eq!(read(&cells, &absent, T + 60_000).edge, Some(Timestamp(due)));
        assert_eq!(read(&cells, &absent, due).value, Value::Bool(true));
    }

    #[test]
    fn of_one_millisecond_the_later_arrival_counts_as_later() {
        let (absent, then) = (
            spec(AggregateKind::Absent, 60_000),
            spec(AggregateKind::Then, 60_000),
        );
        for (order, ends, follows) in [
            ([HitValue::A, HitValue::B], true, true),
            ([HitValue::B, HitValue::A], false, false),
        ] {
            let mut cells = Cells::default();
            for value in order {
                cells.add(&hit(absent, value), Timestamp(T), Timestamp(T));
                cells.add(&hit(then, value), Timestamp(T), Timestamp(T));
            }
            let later = T + 60_000;
            assert_eq!(read(&cells, &absent, later).value, Value::Bool(!ends));
            assert_eq!(read(&cells, &then, later).value, Value::Bool(follows));
        }
    }

    #[test]
    fn old_values_do_not_replace_newer_distinct_ones() {
        let distinct = spec(AggregateKind::Distinct, HOUR);
        let add = |cells: &mut Cells, values: std::ops::Range<u64>, at: i64| {
            for value in values {
                let hit = hit(distinct, HitValue::Value(value));
                cells.add(&hit, Timestamp(at), Timestamp(T));
            }
        };
        let half = 1_800_000;
        let full = DISTINCT_MAX as u64;
        let (mut live, mut merged, mut older) = Default::default();
        add(&mut live, 0..full, T);
        add(&mut merged, 0..full, T);
        add(&mut live, 1_000..1_005, T - half);
        add(&mut older, 1_000..1_005, T - half);
        merged.merge(&older);
        for cells in [&live, &merged] {
            // The late ones have left the window, the others have not.
            assert_eq!(
                read(cells, &distinct, T + half + 60_000).value,
                Value::Int(64)
            );
        }
        // The other way round the newer ones stay as well.
        older.merge(&merged);
        assert_eq!(
            read(&older, &distinct, T + half + 60_000).value,
            Value::Int(64)
        );
    }

    #[test]
    fn a_window_ends_up_to_a_bucket_and_59_ms_early() {
        for window_ms in [1_000_u64, 2_000, 10_000, 59_000, 60_000, 100_000] {
            let count = spec(AggregateKind::Count, window_ms);
            let counted = |at: i64, now: i64| {
                let mut cells = Cells::default();
                cells.add(&hit(count, HitValue::Matched), Timestamp(at), Timestamp(at));
                read(&cells, &count, now).value == Value::Int(1)
            };
            let window = i64::try_from(window_ms).unwrap();
            let least = window - window / 60 - window % 60;
            for at in T..T + 200 {
                assert!(counted(at, at + least - 1), "{window_ms}: {at}");
                assert!(!counted(at, at + window), "{window_ms}: {at}");
            }
        }
    }

    #[test]
    fn a_merged_later_a_ends_a_then() {
        let then = spec(AggregateKind::Then, 60_000);
        let (mut cells, mut other) = (Cells::default(), Cells::default());
        let add = |cells: &mut Cells, value, at| {
            cells.add(&hit(then, value), Timestamp(at), Timestamp(at));
        };
        add(&mut cells, HitValue::A, T);
        add(&mut cells, HitValue::B, T + 1);
        add(&mut other, HitValue::A, T + 5);
        cells.merge(&other);
        assert_eq!(read(&cells, &then, T + 9).value, Value::Bool(false));
    }

    #[test]
    fn then_holds_from_the_b_within_the_window_until_the_next_a() {
        let then = spec(AggregateKind::Then, 60_000);
        let mut cells = Cells::default();
        let add = |cells: &mut Cells, value, at| {
            cells.add(&hit(then, value), Timestamp(at), Timestamp(at));
        };
        add(&mut cells, HitValue::B, T);
        add(&mut cells, HitValue::A, T + 1);
        assert_eq!(
            read(&cells, &then, T + 1).value,
            Value::Bool(false),
            "B came before A"
        );
        add(&mut cells, HitValue::B, T + 60_002);
        assert_eq!(
            read(&cells, &then, T + 60_002).value,
            Value::Bool(false),
            "too long after"
        );
        add(&mut cells, HitValue::A, T + 70_000);
        add(&mut cells, HitValue::B, T + 130_000);
        assert_eq!(read(&cells, &then, T + 999_999).value, Value::Bool(true));
        add(&mut cells, HitValue::A, T + 1_000_000);
        assert_eq!(read(&cells, &then, T + 1_000_000).value, Value::Bool(false));
    }

    #[test]
    fn a_merge_adds_buckets_and_keeps_extremes() {
        let count = spec(AggregateKind::Count, HOUR);
        let first = spec(AggregateKind::First, 0);
        let sum = spec(AggregateKind::Sum, HOUR);
        let (mut a, mut b) = (Cells::default(), Cells::default());
        for (cells, at) in [(&mut a, T), (&mut b, T - 5)] {
            cells.add(&hit(count, HitValue::Matched), Timestamp(at), Timestamp(T));
            cells.add(&hit(first, HitValue::Matched), Timestamp(at), Timestamp(T));
            cells.add(
                &hit(sum, HitValue::Number(1.5)),
                Timestamp(at),
                Timestamp(T),
            );
        }
        a.merge(&b);
        assert_eq!(read(&a, &count, T).value, Value::Int(2));
        assert_eq!(read(&a, &sum, T).value, Value::Float(3.0));
        assert_eq!(read(&a, &first, T).value, Value::Time(Timestamp(T - 5)));
    }
}
