//! A set of slots of the record.

/// A bit for each slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::decide) struct SlotSet(Vec<u64>);

impl SlotSet {
    /// Room for `slots` bits, all clear.
    #[must_use]
    pub(super) fn with_slots(slots: usize) -> Self {
        Self(vec![0; slots.div_ceil(64)])
    }

    /// Clears every bit.
    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Sets one bit.
    pub(super) fn insert(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    /// True where every bit of `other` is set here.
    #[must_use]
    pub(in crate::decide) fn contains_all(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(own, theirs)| own & theirs == *theirs)
    }
}
