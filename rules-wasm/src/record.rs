//! Writes one event record straight into the memory that the modules read.

use tidegate_event::Timestamp;
use wasmtime::{Memory, MemoryType, Store, StoreLimits};

use crate::abi::{
    HEADER_BYTES, KIND_ABSENT, KIND_BOOL, KIND_DOUBLE, KIND_INT, KIND_STRING, KIND_TIMESTAMP,
    MAGIC, RECORD_BYTES_MAX, SLOT_BYTES, STRING_BYTES_MAX, TAIL_BYTES,
};
use crate::error::RuleError;

/// The record under construction: slot `i` holds field `i` of the plan. A slot that is not set
/// is absent, and what reads it unknown.
pub struct RecordBuffer {
    store: Store<StoreLimits>,
    memory: Memory,
    slots: usize,
    /// Where the next string goes.
    heap: usize,
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
    pub(crate) fn new(mut store: Store<StoreLimits>, slots: usize) -> Result<Self, RuleError> {
        let page = MemoryType::new(1, Some(1));
        let memory = Memory::new(&mut store, page).map_err(RuleError::Instance)?;
        let mut record = Self {
            store,
            memory,
            slots,
            heap: 0,
            strings_dropped: 0,
        };
        record.clear();
        Ok(record)
    }

    /// Forgets every value.
    pub fn clear(&mut self) {
        let heap = HEADER_BYTES + SLOT_BYTES * self.slots;
        let slots = u32::try_from(self.slots).unwrap_or(u32::MAX);
        let bytes = self.memory.data_mut(&mut self.store);
        if let Some(head) = bytes.get_mut(..heap) {
            head.fill(KIND_ABSENT);
            head[..4].copy_from_slice(&MAGIC);
            head[4..8].copy_from_slice(&slots.to_le_bytes());
        }
        self.heap = heap;
    }

    /// Sets a string. One longer than 8 KiB, or that the record has no room for, is absent, and
    /// counted in [`Self::strings_dropped`].
    pub fn set_str(&mut self, slot: usize, value: &str) {
        let start = self.heap;
        let end = start + value.len();
        if value.len() > STRING_BYTES_MAX || end > RECORD_BYTES_MAX - TAIL_BYTES {
            self.strings_dropped += 1;
            self.unset(slot);
            return;
        }
        if slot >= self.slots {
            return;
        }
        let bytes = self.memory.data_mut(&mut self.store);
        if let Some(place) = bytes.get_mut(start..end) {
            place.copy_from_slice(value.as_bytes());
        }
        self.heap = end;
        let len = u32::try_from(value.len()).unwrap_or(0);
        self.set(slot, KIND_STRING, len, u64::try_from(start).unwrap_or(0));
    }

    /// Sets an integer.
    pub fn set_int(&mut self, slot: usize, value: i64) {
        self.set(slot, KIND_INT, 0, value.cast_unsigned());
    }

    /// Sets a double; one that is not finite is absent.
    pub fn set_float(&mut self, slot: usize, value: f64) {
        if value.is_finite() {
            self.set(slot, KIND_DOUBLE, 0, value.to_bits());
        } else {
            self.unset(slot);
        }
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
        let kind = self
            .memory
            .data(&self.store)
            .get(HEADER_BYTES + SLOT_BYTES * slot);
        slot < self.slots && kind.is_some_and(|kind| *kind != KIND_ABSENT)
    }

    /// Strings that did not fit, since the evaluator was made.
    #[must_use]
    pub const fn strings_dropped(&self) -> u64 {
        self.strings_dropped
    }

    fn set(&mut self, slot: usize, kind: u8, len: u32, payload: u64) {
        if slot >= self.slots {
            return;
        }
        let start = HEADER_BYTES + SLOT_BYTES * slot;
        let bytes = self.memory.data_mut(&mut self.store);
        if let Some(place) = bytes
            .get_mut(start..)
            .and_then(|rest| rest.first_chunk_mut::<16>())
        {
            place[..4].copy_from_slice(&u32::from(kind).to_le_bytes());
            place[4..8].copy_from_slice(&len.to_le_bytes());
            place[8..].copy_from_slice(&payload.to_le_bytes());
        }
    }

    /// Bytes in use.
    pub(crate) const fn len(&self) -> usize {
        self.heap
    }

    pub(crate) const fn memory(&self) -> Memory {
        self.memory
    }

    pub(crate) const fn store(&self) -> &Store<StoreLimits> {
        &self.store
    }

    pub(crate) const fn store_mut(&mut self) -> &mut Store<StoreLimits> {
        &mut self.store
    }

    /// Takes over the record that another buffer holds, and its counts.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        let source = other.memory.data(&other.store);
        let target = self.memory.data_mut(&mut self.store);
        let len = source.len().min(target.len());
        target[..len].copy_from_slice(&source[..len]);
        self.heap = other.heap;
        self.strings_dropped = other.strings_dropped;
    }
}
