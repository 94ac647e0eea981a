//! The hash of a value that `distinct` counts, as the host-side twin of what modules compute.
//!
//! Profiles store these hashes: they must never change. An int and a double of the same value are
//! the same value; otherwise different types never meet.

use tidegate_event::id::fnv1a_64;

pub(crate) const TAG_TEXT: i64 = 1;
pub(crate) const TAG_WHOLE: i64 = 2;
pub(crate) const TAG_REAL: i64 = 3;
pub(crate) const TAG_BOOL: i64 = 4;
pub(crate) const TAG_TIMESTAMP: i64 = 5;
pub(crate) const TAG_DURATION: i64 = 6;

/// Steps of the mix: splitmix64's.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
pub(crate) const STEPS: [(u32, u64); 2] =
    [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)];
pub(crate) const LAST_SHIFT: u32 = 31;

/// The hash of a value of this type.
pub(crate) fn mix(tag: i64, value: u64) -> u64 {
    let mut hash = value.wrapping_add(tag.cast_unsigned().wrapping_mul(GOLDEN));
    for (shift, factor) in STEPS {
        hash = (hash ^ (hash >> shift)).wrapping_mul(factor);
    }
    hash ^ (hash >> LAST_SHIFT)
}

/// The hash of a string.
pub(crate) fn text(text: &str) -> u64 {
    mix(TAG_TEXT, fnv1a_64(text.as_bytes()))
}
