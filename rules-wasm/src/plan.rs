//! What the host has to do for a set of rules: the slots to fill, the aggregates to keep, the
//! wake-ups to set. Plain data.

use tidegate_event::{AggregateSpec, SegmentId, Timestamp};

use crate::field::Field;

/// Everything the host needs to know about a set of rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Slot `i` of the record holds `fields[i]`.
    pub fields: Vec<Field>,
    /// Aggregates to keep per profile, by ascending id, without duplicates.
    pub aggregates: Vec<AggregateSpec>,
    /// The segments, in the order of their sources.
    pub segments: Vec<SegmentPlan>,
}

impl Plan {
    /// The slot of this field, where any rule reads it.
    #[must_use]
    pub fn slot(&self, field: &Field) -> Option<usize> {
        self.fields.iter().position(|candidate| candidate == field)
    }
}

/// One segment.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentPlan {
    /// Its name.
    pub name: Box<str>,
    /// Its key.
    pub id: SegmentId,
    /// Slots of the event fields that must be present for it to be evaluated; ascending. A field
    /// that only `has()` asks for is not among them, nor is one that only a condition of an
    /// aggregate reads.
    pub event_slots: Vec<usize>,
    /// Whether it reads `session.*`, and so becomes false at the session's end.
    pub reads_session: bool,
    /// Aggregates it reads, as indexes of [`Plan::aggregates`]; ascending.
    pub aggregates: Vec<usize>,
    /// When time alone may change its verdict.
    pub wake: Vec<Wake>,
}

/// When time alone may change a verdict. Aggregates are indexes of [`Plan::aggregates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wake {
    /// When the oldest bucket of this aggregate leaves its window.
    WindowEdge(usize),
    /// `ms` after the time this `last` or `first` holds.
    Age {
        /// The aggregate.
        aggregate: usize,
        /// Milliseconds.
        ms: i64,
    },
    /// When this `absent` becomes due: its window after the newest A without a B.
    Absent(usize),
    /// `ms` after the timestamp in this slot (`session.started_at`, `profile.last_seen` ...).
    FieldAge {
        /// Slot of the field.
        slot: usize,
        /// Milliseconds.
        ms: i64,
    },
    /// At this moment, whatever the profile did.
    At(Timestamp),
}
