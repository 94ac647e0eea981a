//! The endpoints that take no events: each turns a `RawHit` into a `Reply` and knows nothing of
//! connections.

pub(super) mod segments;
pub(super) mod tag;
