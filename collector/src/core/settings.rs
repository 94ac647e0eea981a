//! What bounds the core, from the settings.

/// Bounds of the core, from the settings.
#[derive(Clone, Debug)]
pub struct CoreSettings {
    /// Bytes of one journal record.
    pub record_bytes_max: usize,
    /// Bytes of one profile's traits.
    pub traits_bytes_max: usize,
    /// Identifiers of one profile.
    pub identifiers_max: usize,
    /// Merges into one profile within an hour.
    pub merges_per_hour_max: u32,
    /// Profiles in memory.
    pub live_max: usize,
    /// Stored profiles go when they were not seen for this long, milliseconds.
    pub retention_ms: u64,
    /// Bytes that stored profiles may take; the oldest go.
    pub disk_max: u64,
    /// How far a profile's row may be behind, in records.
    pub lag_records: u64,
    /// Disk budget of the journal; the checkpoint hurries where it alone may hold half of it.
    pub disk_budget: u64,
    /// Deduplication window.
    pub dedup_window_ms: u64,
    /// Deduplication keys.
    pub dedup_entries_max: usize,
    /// How long `ack = "kafka"` waits.
    pub ack_timeout_ms: u64,
    /// Evaluators: one for each worker thread.
    pub evaluators: usize,
}
