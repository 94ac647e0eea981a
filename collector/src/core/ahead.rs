//! Reads the store's due index into the timers: a page whenever the timers run short of what was
//! stored, each row once. Profiles in memory schedule themselves.

use tidegate_event::{ProfileId, Timestamp};

use super::{Core, Refused};
use crate::profile::store::{DueFrom, StoreError};

/// How far ahead the store's due index is read into memory.
pub(super) const AHEAD_MS: i64 = 120_000;
/// Rows of the due index read at once; few in tests, so that they read many pages.
const PAGE: usize = if cfg!(test) { 64 } else { 10_000 };

/// How far the index is read.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    from: DueFrom,
}

impl Ahead {
    /// Everything stored that is due before this is in the timers.
    fn read_until(&self) -> Timestamp {
        self.from.at()
    }
}

impl Core {
    /// True where stored timers may be due that [`Core::look_ahead`] has yet to read.
    #[must_use]
    pub fn wants_look_ahead(&self) -> bool {
        let until = self.0.ahead.lock().read_until();
        until <= self.0.clock.now() && !self.0.timers.has_due(until, PAGE)
    }

    /// Takes a page of stored profiles that are due next into the timers.
    ///
    /// # Errors
    /// [`Refused::Store`]
    pub fn look_ahead(&self) -> Result<(), Refused> {
        while self.wants_look_ahead() {
            let read = self.read_page().map_err(|error| self.refuse(&error))?;
            if read == 0 {
                break;
            }
        }
        Ok(())
    }

    /// What stored timers may be due and unread is this old at most.
    pub(super) fn stored_overdue_ms(&self, now: Timestamp) -> i64 {
        let until = self.0.ahead.lock().read_until();
        if until == Timestamp(0) {
            // Nothing is read yet: the first tick of the timers does.
            return 0;
        }
        now.since(until).max(0)
    }

    fn read_page(&self) -> Result<usize, StoreError> {
        let mut ahead = self.0.ahead.lock();
        let until = self.0.clock.now().plus_ms(AHEAD_MS);
        let page = self.0.profiles.store()?.due_page(ahead.from, until, PAGE)?;
        for key in &page.unreadable {
            self.0.metrics.timers_unreadable.inc();
            tracing::error!(
                ?key,
                "a row of the due index does not parse; it is passed over"
            );
        }
        let read = page.rows.len() + page.unreadable.len();
        for (due, id) in page.rows {
            self.schedule_stored(id, due);
        }
        ahead.from = page.next;
        Ok(read)
    }

    fn schedule_stored(&self, id: ProfileId, due: Timestamp) {
        match self.0.profiles.in_memory(id) {
            Some(shared) => self.schedule(&mut shared.lock()),
            None => self.0.timers.schedule(id, due),
        }
    }
}
