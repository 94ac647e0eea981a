//! What follows the journal: each cursor reads at its own offset, never past the durable
//! watermark, and none slows ingest or another (invariant 2). A cursor gets records with their
//! offset and hands them on; it decides nothing about them.

pub mod follow;
pub mod source;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(any(not(feature = "kafka"), test))]
pub mod kafka_absent;
pub mod activation;
pub mod need;
pub mod metrics;

#[cfg(not(feature = "kafka"))]
pub use kafka_absent as kafka;
