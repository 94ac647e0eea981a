//! `[activation]`: callbacks to destinations, and how many may wait.

use super::Cidr;
use super::declare::When::Restart;
use super::declare::{key, section};
use super::kind::{COUNT_MAX, DAY, HOUR, duration, networks, number};
use crate::document::{Reason, Section};

section! {
    /// `[activation]`
    pub struct Activation {
        /// Private addresses or ranges that a destination may reach; all others are refused.
        allow_private: Vec<Cidr> = Vec::new()
            => key("activation.allow_private", Restart, networks()),

        /// Callbacks waiting, all destinations together. Half of this is divided among the
        /// destinations in equal parts; the rest goes to the first that needs it. A visitor and
        /// segment with callbacks take about 60 bytes of memory.
        outbox_rows_max: usize = 1_000_000
            => key("activation.outbox_rows_max", Restart, number(1..=COUNT_MAX)),

        /// Callbacks waiting for one destination, at most `activation.outbox_rows_max`; unset, half
        /// of that. A visitor has at most four for each segment: a further change replaces the
        /// newest that was not sent yet. Only the latest waits with a `linger`, while the
        /// destination is held back, and above half of this limit. The last quarter is for visitors
        /// without callbacks. At one of these two limits, Tidegate waits for a destination that
        /// delivers, at most one second; after that its changes become dead letters
        /// (`outbox_full`). Other destinations are not affected.
        destination_rows_max: Option<usize> = None
            => key("activation.destination_rows_max", Restart, number(1..=COUNT_MAX).optional())
                .unset("250000"),

        /// Dead letters kept for each destination: the newest of each visitor and segment. Beyond
        /// it the visitor with the most loses the oldest. A letter takes about 300 bytes of memory.
        dead_letters_max: usize = 10_000
            => key("activation.dead_letters_max", Restart, number(1..=COUNT_MAX)),

        /// How long a dead letter is kept.
        dead_letters_max_age_ms: u64 = 30 * DAY
            => key("activation.dead_letters_max_age", Restart, duration(HOUR..=3_650 * DAY)),
    }
}

impl Activation {
    /// Rows that may wait for one destination.
    #[must_use]
    pub fn destination_rows(&self) -> usize {
        let half = self.outbox_rows_max.div_ceil(2);
        self.destination_rows_max.unwrap_or(half)
    }

    /// Checks that one destination's part of the outbox is no larger than the outbox.
    pub(super) fn check(&self, section: &Section<'_>) {
        if self.destination_rows() > self.outbox_rows_max {
            section.fault(
                "destination_rows_max",
                Reason::Needs {
                    needs: "activation.outbox_rows_max to be at least as large",
                    remedy: "raise activation.outbox_rows_max or lower this",
                },
            );
        }
    }
}
