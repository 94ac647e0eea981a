//! The bounds of the journal. Checks them; reads no file and no environment.

use std::collections::BTreeMap;

use crate::frame::{BATCH_HEADER_BYTES, FRAME_HEADER_BYTES};
use crate::segment::HEADER_BLOCK_BYTES;

/// Bounds of one journal. `Default` is what `tidegate serve` uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Size of a segment file, in bytes.
    pub segment_bytes: u64,
    /// Most bytes on disk: segments plus what is charged with [`crate::Journal::charge`].
    pub disk_budget: u64,
    /// How long a segment is kept after the last required cursor passed it, in milliseconds of `decided_at`.
    pub retention_ms: u64,
    /// Largest payload of one record, in bytes.
    pub record_bytes_max: usize,
    /// Most bytes in one batch, headers included (a single larger record still makes a batch).
    pub batch_bytes_max: usize,
    /// Most bytes of memory for what is reserved, filled and not yet written.
    pub buffer_bytes_max: usize,
    /// Charges of [`crate::Journal::charge`] at the opening, bytes by name. The first segment is prepared
    /// within what they leave of the budget.
    pub charges: BTreeMap<String, u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            disk_budget: 10 << 30,
            retention_ms: 24 * 3_600_000,
            record_bytes_max: 1 << 20,
            batch_bytes_max: 4 << 20,
            buffer_bytes_max: 64 << 20,
            charges: BTreeMap::new(),
        }
    }
}

/// Why settings were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A segment must hold at least two of the largest records, and less than 4 GiB.
    #[error(
        "journal segment_bytes must be from {least} bytes (two of the largest records) to 4 GiB"
    )]
    Segment {
        /// The smallest value that would do.
        least: u64,
    },
    /// The budget must hold the active segment and the next.
    #[error("journal disk_budget must be at least {least} bytes (two segments)")]
    Budget {
        /// The smallest value that would do.
        least: u64,
    },
    /// The buffer must hold at least one of the largest records.
    #[error("journal buffer_bytes_max must be at least {least} bytes (one of the largest records)")]
    Buffer {
        /// The smallest value that would do.
        least: u64,
    },
}

impl Settings {
    /// Bytes of the room on disk that only the gateway's own records may use: a 64th of a segment.
    pub(crate) fn headroom_bytes(&self) -> u64 {
        self.segment_bytes / 64
    }

    /// The most that one record can take on disk: a frame alone in its batch.
    pub(crate) fn record_cost_max(&self) -> u64 {
        record_cost(self.record_bytes_max)
    }

    /// # Errors
    /// The first bound that cannot work.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let least = HEADER_BLOCK_BYTES + 2 * self.record_cost_max();
        if self.segment_bytes < least || self.segment_bytes > u64::from(u32::MAX) {
            return Err(SettingsError::Segment { least });
        }
        let least = 2 * self.segment_bytes;
        if self.disk_budget < least {
            return Err(SettingsError::Budget { least });
        }
        let least = self.record_cost_max();
        if (self.buffer_bytes_max as u64) < least {
            return Err(SettingsError::Buffer { least });
        }
        Ok(())
    }
}

/// What a record of `payload_bytes` may take on disk at worst.
pub(crate) fn record_cost(payload_bytes: usize) -> u64 {
    (payload_bytes + FRAME_HEADER_BYTES + BATCH_HEADER_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn a_segment_smaller_than_two_records_is_refused() {
        let settings = Settings {
            segment_bytes: 1 << 20,
            ..Settings::default()
        };
        assert!(matches!(
            settings.check(),
            Err(SettingsError::Segment { .. })
        ));
    }

    #[test]
    fn a_budget_of_one_segment_is_refused() {
        let settings = Settings {
            disk_budget: 64 << 20,
            ..Settings::default()
        };
        assert_eq!(
            settings.check(),
            Err(SettingsError::Budget { least: 128 << 20 })
        );
    }
}
