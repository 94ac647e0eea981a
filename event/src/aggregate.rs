//! Declared aggregates: what a rule asks the host to keep per profile, and what one event adds.

use serde::{Deserialize, Serialize};

/// Stable key of an aggregate: 32-bit FNV-1a of its canonical text. Two aggregates of one catalog
/// with the same key are refused when the catalog is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AggregateId(pub u32);

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AggregateKind {
    /// How many events matched.
    Count,
    /// Sum of a number over the events that matched.
    Sum,
    /// Different values among the events that matched: exact to 64, then 64.
    Distinct,
    /// Time of the newest match.
    Last,
    /// Time of the oldest match.
    First,
    /// B came within the window after an A: true from that B on, until the next A.
    Then,
    /// True from `window` after the newest A with no B since, until the next A or B.
    Absent,
}

/// One declared aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AggregateSpec {
    /// Its key.
    pub id: AggregateId,
    /// What is kept.
    pub kind: AggregateKind,
    /// Window in milliseconds; 0 where nothing expires: for `Last` and `First`, and for a `Count`
    /// without a window.
    pub window_ms: u64,
}

impl AggregateSpec {
    /// A window is this many buckets, so its edge moves by at most 1/60 of it.
    pub const BUCKETS: u64 = 60;

    /// Milliseconds that one bucket covers; at least 1.
    #[must_use]
    pub const fn bucket_ms(&self) -> u64 {
        let width = self.window_ms / Self::BUCKETS;
        if width == 0 { 1 } else { width }
    }
}

/// What one event adds to one aggregate. Journaled, so that the fold never asks a rule again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AggregateHit {
    /// Which aggregate.
    pub spec: AggregateSpec,
    /// What it adds.
    pub value: HitValue,
}

/// The contribution itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum HitValue {
    /// The event matched (`Count`, `Last`, `First`).
    Matched,
    /// The number to add (`Sum`); always finite.
    Number(f64),
    /// The 64-bit hash of the value (`Distinct`).
    Value(u64),
    /// The event is an A (`Then`, `Absent`).
    A,
    /// The event is a B (`Then`, `Absent`).
    B,
}
