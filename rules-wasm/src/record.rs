//! One event record under construction, in the layout that the modules read.
//!
//! Plain bytes: copied into WASM memory once per stage, which costs less than reaching into that
//! memory for every slot.

use tidegate_event::Timestamp;

use crate::abi::{
    HEADER_BYTES, KIND_ABSENT, KIND_BOOL, KIND_DOUBLE, KIND_INT, KIND_STRING, KIND_TIMESTAMP,
    MAGIC, RECORD_BYTES_MAX, SLOT_BYTES, STRING_BYTES_MAX, TAIL_BYTES,
};

/// The record under construction: slot `i` holds field `i` of the plan. A slot that is not set
/// is absent, and what reads it unknown. A slot that is not in the plan is ignored.
#[derive(Clone)]
pub struct RecordBuffer {
    bytes: Box<[u8]>,
    slots: usize,
    /// Where the next string goes.
    heap: usize,
    /// Up to where strings were copied already.
    copied: usize,
    strings_dropped: u64,
}

impl std::fmt::Debug for RecordBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordBuffer")
            .field("slots", &self.slots)
            .field("bytes", &self.heap)
            .finish_non_exhaustive()
    }
}

impl RecordBuffer {
    /// `slots` are bounded by [`crate::Limits::slots_max`]; what a page cannot hold is ignored.
    pub(crate) fn new(slots: usize) -> Self {
        let slots = slots.min((RECORD_BYTES_MAX - TAIL_BYTES - HEADER_BYTES) / SLOT_BYTES);
        let mut bytes = vec![0; RECORD_BYTES_MAX].into_boxed_slice();
        bytes[..4].copy_from_slice(&MAGIC);
        let count = u32::try_from(slots).unwrap_or(u32::MAX);
        bytes[4..8].copy_from_slice(&count.to_le_bytes());
        let heap = heap_start(slots);
        Self {
            bytes,
            slots,
            heap,
            copied: heap,
            strings_dropped: 0,
        }
    }

    /// Forgets every value.
    pub fn clear(&mut self) {
        let heap = heap_start(self.slots);
        self.bytes[HEADER_BYTES..heap].fill(KIND_ABSENT);
        self.heap = heap;
        self.copied = heap;
    }

    /// Sets a string. One longer than 8 KiB, or that the record has no space for, is absent, and
    /// counted in [`Self::strings_dropped`]; false then.
    pub fn set_str(&mut self, slot: usize, value: &str) -> bool {
        let (start, end) = (self.heap, self.heap + value.len());
        if value.len() > STRING_BYTES_MAX || end > RECORD_BYTES_MAX - TAIL_BYTES {
            self.strings_dropped += 1;
            self.unset(slot);
            return false;
        }
        if slot < self.slots {
            self.bytes[start..end].copy_from_slice(value.as_bytes());
            self.heap = end;
            let len = u32::try_from(value.len()).unwrap_or(0);
            self.set(slot, KIND_STRING, len, u64::try_from(start).unwrap_or(0));
        }
        true
    }

    /// Sets an integer.
    pub fn set_int(&mut self, slot: usize, value: i64) {
        self.set(slot, KIND_INT, 0, value.cast_unsigned());
    }

    /// Sets a double; one that is not finite is absent, and false returned.
    pub fn set_float(&mut self, slot: usize, value: f64) -> bool {
        if value.is_finite() {
            self.set(slot, KIND_DOUBLE, 0, value.to_bits());
        } else {
            self.unset(slot);
        }
        value.is_finite()
    }

    /// Sets a bool.
    pub fn set_bool(&mut self, slot: usize, value: bool) {
        self.set(slot, KIND_BOOL, 0, u64::from(value));
    }

    /// Sets a timestamp.
    pub fn set_timestamp(&mut self, slot: usize, value: Timestamp) {
        self.set(slot, KIND_TIMESTAMP, 0, value.0.cast_unsigned());
    }

    /// Makes a slot absent again.
    pub fn unset(&mut self, slot: usize) {
        self.set(slot, KIND_ABSENT, 0, 0);
    }

    /// Whether the slot holds a value.
    #[must_use]
    pub fn is_set(&self, slot: usize) -> bool {
        slot < self.slots && self.bytes[HEADER_BYTES + SLOT_BYTES * slot] != KIND_ABSENT
    }

    /// Strings that did not fit, since the evaluator was made.
    #[must_use]
    pub const fn strings_dropped(&self) -> u64 {
        self.strings_dropped
    }

    fn set(&mut self, slot: usize, kind: u8, len: u32, payload: u64) {
        let (slots, _) =
            self.bytes[HEADER_BYTES..heap_start(self.slots)].as_chunks_mut::<SLOT_BYTES>();
        if let Some(place) = slots.get_mut(slot) {
            let head = u64::from(len) << 32 | u64::from(kind);
            place[..8].copy_from_slice(&head.to_le_bytes());
            place[8..].copy_from_slice(&payload.to_le_bytes());
        }
    }

    /// Bytes in use.
    pub(crate) const fn len(&self) -> usize {
        self.heap
    }

    /// Copies all slots, and the strings that were not copied before.
    pub(crate) fn copy_to(&mut self, memory: &mut [u8]) {
        let slots = heap_start(self.slots);
        for range in [0..slots, self.copied..self.heap] {
            if let Some(place) = memory.get_mut(range.clone()) {
                place.copy_from_slice(&self.bytes[range]);
            }
        }
        self.copied = self.heap;
    }

    /// Lets the next copy be a whole one, into another memory.
    pub(crate) const fn copy_again(&mut self) {
        self.copied = heap_start(self.slots);
    }
}

const fn heap_start(slots: usize) -> usize {
    HEADER_BYTES + SLOT_BYTES * slots
}
