//! The vocabulary that every crate of Tidegate shares, one type per state of the flow:
//! bytes become a [`Hit`], a [`Consented`] hit, an [`Identified`] one, an [`Enriched`] one, and at
//! last a journal [`record`].
//!
//! Plain data only: no I/O, no clock, no async, no environment. Callers pass "now" in.

pub mod time;
pub mod id;
pub mod json;
pub mod outcome;
pub mod hit;
pub mod consent;
pub mod identity;
pub mod enriched;
pub mod aggregate;
pub mod segment;
pub mod record;
pub mod pulse;
pub mod row_version;

pub use aggregate::{AggregateHit, AggregateId, AggregateKind, AggregateSpec, HitValue};
pub use consent::{Consent, Consented, Profiling, Purposes, Sealed};
pub use enriched::{Campaign, Device, DeviceClass, Enriched, Geo, Page};
pub use hit::{EventType, Hit, SentIds};
pub use id::{ProfileId, SegmentId, VisitorId};
pub use identity::{Identified, Identity};
pub use json::Json;
pub use outcome::Outcome;
pub use pulse::{Beat, Life, Pulse, Pulses};
pub use segment::Change;
pub use time::Timestamp;
