//! Where Kafka's dead letters stand and which version they have. Here, because a build without
//! Kafka checks them too.

/// The version of a row, its first member. Rows of version 1 have none.
pub const FORMAT: u32 = 2;
/// Their directory under the data directory.
pub const DIR: &str = "kafka-dead-letters";
/// The files in it, the newest first.
pub const FILES: [&str; 2] = ["current.ndjson", "older.ndjson"];
