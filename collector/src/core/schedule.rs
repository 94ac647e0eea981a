//! When to look at which profile: the timers in memory, and the store's due index behind them.
//!
//! A page of the index is read whenever the timers run short of what was stored, each row once.
//! Profiles in memory schedule themselves.

use parking_lot::Mutex;
use tidegate_event::{ProfileId, Timestamp};

use super::metrics::CoreMetrics;
use super::timers::Timers;
use crate::clock::Clock;
use crate::profile::live::{Live, Profiles};
use crate::profile::store::{DueFrom, StoreError};

/// How far ahead the store's due index is read into memory.
pub(super) const AHEAD_MS: i64 = 120_000;
/// Rows of the due index read at once; few in tests, so that they read many pages.
const PAGE: usize = if cfg!(test) { 64 } else { 10_000 };

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    pub(super) timers: Timers,
    /// How far the index is read: everything stored that is due before is in the timers.
    read_until: Mutex<DueFrom>,
}

impl Schedule {
    /// Puts the profile's next due time into the timers, unless they look earlier anyway.
    pub(super) fn add(&self, live: &mut Live) {
        if let Some(due) = live.profile.due()
            && live.scheduled.is_after(due)
        {
            live.scheduled = Some(due).into();
            self.timers.schedule(live.profile.id, due);
        }
    }

    /// True where stored timers may be due that [`Self::look_ahead`] has yet to read.
    pub(super) fn wants_look_ahead(&self, now: Timestamp) -> bool {
        let until = self.read_until.lock().at();
        until <= now && !self.timers.has_due(until, PAGE)
    }

    /// Takes stored profiles that are due next into the timers, a page at a time.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(super) fn look_ahead(
        &self,
        profiles: &Profiles,
        clock: &dyn Clock,
        metrics: &CoreMetrics,
    ) -> Result<(), StoreError> {
        while self.wants_look_ahead(clock.now()) {
            if self.read_page(profiles, clock.now(), metrics)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// How late the earliest timer is, milliseconds. What stored ones may be due and unread is as old
    /// as the place where reading goes on.
    pub(super) fn overdue_ms(&self, now: Timestamp) -> i64 {
        let until = self.read_until.lock().at();
        let stored_ms = if until == Timestamp(0) {
            // Nothing is read yet: the first tick of the timers does.
            0
        } else {
            now.since(until).max(0)
        };
        self.timers.overdue_ms(now).max(stored_ms)
    }

    fn read_page(
        &self,
        profiles: &Profiles,
        now: Timestamp,
        metrics: &CoreMetrics,
    ) -> Result<usize, StoreError> {
        let mut from = self.read_until.lock();
        let until = now.plus_ms(AHEAD_MS);
        let page = profiles.store()?.due_page(*from, until, PAGE)?;
        for key in &page.unreadable {
            metrics.timers_unreadable.inc();
            tracing::error!(
                ?key,
                "a row of the due index does not parse; it is passed over"
            );
        }
        let read = page.rows.len() + page.unreadable.len();
        for (due, id) in page.rows {
            self.add_stored(profiles, id, due);
        }
        *from = page.next;
        Ok(read)
    }

    fn add_stored(&self, profiles: &Profiles, id: ProfileId, due: Timestamp) {
        match profiles.in_memory(id) {
            Some(shared) => self.add(&mut shared.lock()),
            None => self.timers.schedule(id, due),
        }
    }
}
