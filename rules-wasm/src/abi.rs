//! `TGE1`, the layout of one event record in WASM memory, and the names modules and host share.
//!
//! A record is a 16-byte header (magic, number of slots, bytes in use, 0), then slots of 16 bytes
//! {u8 kind, u32 length at +4, u64 payload at +8}, then the string heap, then at least 16 bytes
//! that may be read but mean nothing. All numbers are little-endian. The payload is an i64, an
//! f64, 0 or 1, or the string's offset from the start of the record.

/// First bytes of a record.
pub const MAGIC: [u8; 4] = *b"TGE1";
/// Bytes before the first slot.
pub const HEADER_BYTES: usize = 16;
/// Bytes of one slot.
pub const SLOT_BYTES: usize = 16;
/// Bytes after the heap that a module may read past a string's end.
pub const TAIL_BYTES: usize = 16;
/// Bytes of the memory that holds the record: one WASM page.
pub const RECORD_BYTES_MAX: usize = 65_536;
/// A longer string is absent.
pub const STRING_BYTES_MAX: usize = 8 * 1024;

/// Kind of an absent value.
pub const KIND_ABSENT: u8 = 0;
/// Kind of a bool.
pub const KIND_BOOL: u8 = 1;
/// Kind of an i64.
pub const KIND_INT: u8 = 2;
/// Kind of a finite f64.
pub const KIND_DOUBLE: u8 = 3;
/// Kind of a string.
pub const KIND_STRING: u8 = 4;
/// Kind of a timestamp in milliseconds.
pub const KIND_TIMESTAMP: u8 = 5;

/// Module and name of the imported memory that holds the record.
pub const RECORD_MEMORY: (&str, &str) = ("tg", "event");
/// Exported memory that holds verdicts, one byte per segment, and hits.
pub const OUT_MEMORY: &str = "out";
/// Stage 1: evaluates the conditions of aggregates; returns the number of hits.
pub const CONDITIONS: &str = "tg_conditions";
/// Stage 2: evaluates the segments.
pub const EVAL_ALL: &str = "tg_eval_all";

/// Bytes of one hit: {u32 aggregate, u32 what, u64 value}.
pub(crate) const HIT_BYTES: usize = 16;
/// The event matched.
pub(crate) const HIT_MATCHED: u32 = 0;
/// The value is an f64 to add.
pub(crate) const HIT_NUMBER: u32 = 1;
/// The value is the hash of a value.
pub(crate) const HIT_VALUE: u32 = 2;
/// The event is an A.
pub(crate) const HIT_A: u32 = 3;
/// The event is a B.
pub(crate) const HIT_B: u32 = 4;
