//! `[journal]`: the log that every event is appended to.

use super::declare::When::Restart;
use super::declare::{key, section};
use super::kind::{DAY, GIB, MIB, TIB, duration, size};
use crate::document::{Reason, Section};

/// Segments that the disk budget holds at least.
const SEGMENTS_MIN: u64 = 4;

section! {
    /// `[journal]`
    pub struct Journal {
        /// Bytes that journal, outbox, dead letters and bad rows may take together, at least 4
        /// segments. At the budget hits are answered 503. A 64th of a segment is kept for the
        /// gateway's own records: catalog changes, session ends, wake-ups.
        disk_budget: u64 = 10 * GIB
            => key("journal.disk_budget", Restart, size(16 * MIB..=1_024 * TIB)),

        /// How long a record is kept after every required cursor has passed it. On a quiet site up
        /// to a quarter longer: a segment is closed at this age and removed as a whole.
        retention_ms: u64 = DAY => key("journal.retention", Restart, duration(0..=3_660 * DAY)),

        // A segment holds at least two of the largest records (1 MiB).
        /// Size of one preallocated segment file.
        segment_bytes: u64 = 64 * MIB => key("journal.segment_bytes", Restart, size(4 * MIB..=GIB)),
    }
}

impl Journal {
    /// Checks that the budget holds the smallest number of segments.
    pub(super) fn check(&self, section: &Section<'_>) {
        if self.disk_budget < SEGMENTS_MIN * self.segment_bytes {
            section.fault(
                "disk_budget",
                Reason::Needs {
                    needs: "room for four segments",
                    remedy: "raise it to 4 times journal.segment_bytes, or lower journal.segment_bytes",
                },
            );
        }
    }
}
