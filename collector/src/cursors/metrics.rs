//! What the journal and its cursors say of themselves.

use std::fmt;

use tidegate_journal::{Journal, SYNC_BUCKETS_US};

use crate::telemetry::scrape::{Buckets, Figures, Page, signed};

/// Reads the journal when asked.
#[derive(Clone, Debug)]
pub struct JournalFigures {
    /// The journal.
    pub journal: Journal,
    /// `journal.disk_budget`
    pub disk_budget: u64,
}

impl Figures for JournalFigures {
    fn write(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        self.sizes(page)?;
        self.commits(page)?;
        self.cursors(page)
    }
}

impl JournalFigures {
    fn sizes(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let stats = self.journal.stats();
        for (name, help, value) in [
            (
                "tidegate_journal_depth_records",
                "Durable records that a required cursor has yet to pass",
                stats.depth,
            ),
            (
                "tidegate_journal_durable_offset",
                "Every offset below is durable",
                stats.durable,
            ),
            (
                "tidegate_journal_oldest_offset",
                "Oldest offset kept",
                stats.oldest,
            ),
            (
                "tidegate_journal_disk_bytes",
                "Bytes of segments",
                stats.disk_bytes,
            ),
            (
                "tidegate_journal_held_bytes",
                "Bytes of segments that a required cursor has yet to pass",
                stats.held_bytes,
            ),
            (
                "tidegate_journal_charged_bytes",
                "Bytes of outbox and bad rows that count in the disk budget",
                stats.charged_bytes,
            ),
            (
                "tidegate_journal_disk_budget_bytes",
                "What segments and charged bytes may take together",
                self.disk_budget,
            ),
            (
                "tidegate_journal_reserved_bytes",
                "Bytes promised to hits at work",
                stats.reserved_bytes,
            ),
        ] {
            page.gauge(name, help, signed(value))?;
        }
        Ok(())
    }

    fn commits(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let stats = self.journal.stats();
        for (name, help, value) in [
            (
                "tidegate_journal_batches",
                "Batches committed, one fdatasync each",
                stats.batches,
            ),
            (
                "tidegate_journal_records",
                "Records committed",
                stats.records,
            ),
            ("tidegate_journal_bytes", "Bytes committed", stats.bytes),
            (
                "tidegate_journal_prepare_failures",
                "Failed tries to prepare a segment",
                stats.prepare_failures,
            ),
            (
                "tidegate_journal_cursor_save_failures",
                "Failed tries to save cursor positions",
                stats.cursor_failures,
            ),
            (
                "tidegate_journal_segments_retired",
                "Segments retired",
                stats.retired,
            ),
        ] {
            page.counter(name, help, value)?;
        }
        let syncs = Buckets {
            bounds: &SYNC_BUCKETS_US,
            counts: &stats.sync_us,
            sum: stats.sync_us_sum,
            per_second: 1e6,
        };
        page.histogram(
            "tidegate_journal_fsync_seconds",
            "Time of one fdatasync",
            &syncs,
        )
    }

    fn cursors(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let mut cursors = self.journal.cursors();
        cursors.sort_by(|a, b| a.name.cmp(&b.name));
        page.gauges(
            "tidegate_cursor_lag_records",
            "Durable records that a cursor has yet to pass",
            cursors
                .iter()
                .map(|it| ([("cursor", it.name.as_str())], signed(it.lag))),
        )?;
        page.counters(
            "tidegate_cursor_lost_records",
            "Records that a best-effort cursor was moved past",
            cursors
                .iter()
                .map(|it| ([("cursor", it.name.as_str())], it.lost_records)),
        )
    }
}
