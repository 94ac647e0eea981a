//! The accounting of one request's events, and their wait for durability. A client that disconnects
//! within a batch or during the wait changes no outcome: what the core took is counted once durable.

use tidegate_event::Outcome;
use tokio::runtime::Handle;

use crate::core::{Accepted, Refused};
use crate::edge::accept::Accept;
use crate::tracked::Tracked;

/// Events that the core took, not durable yet.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    accepted: usize,
    duplicates: usize,
    /// The highest offset among them; durability of it covers them all.
    offset: u64,
}

impl Waiting {
    /// Adds one and gives the outcome that it has once durable.
    fn push(&mut self, accepted: Accepted) -> Outcome {
        self.offset = self.offset.max(accepted.offset);
        if accepted.duplicate {
            self.duplicates += 1;
            Outcome::Duplicate
        } else {
            self.accepted += 1;
            Outcome::Accepted
        }
    }

    fn is_empty(self) -> bool {
        self.accepted + self.duplicates == 0
    }

    fn end(self, tracked: &mut Tracked, durable: Result<(), Refused>) {
        match durable {
            Ok(()) => {
                tracked.end_many(Outcome::Accepted, self.accepted);
                tracked.end_many(Outcome::Duplicate, self.duplicates);
            }
            Err(_) => tracked.end_many(Outcome::Overloaded, self.accepted + self.duplicates),
        }
    }
}

/// Whether a row of this outcome waits for the receipt.
pub(super) const fn waits(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Accepted | Outcome::Duplicate)
}

/// One request's events, from the first to the last.
pub(super) struct Receipt<'c, A: Accept> {
    core: &'c A,
    waiting: Waiting,
    /// None once its events have ended.
    tracked: Option<Tracked>,
}

impl<'c, A: Accept> Receipt<'c, A> {
    pub(super) fn new(core: &'c A, tracked: Tracked) -> Self {
        Self {
            core,
            waiting: Waiting::default(),
            tracked: Some(tracked),
        }
    }

    /// Adds an event that the core took and gives the outcome that it has once durable.
    pub(super) fn take(&mut self, accepted: Accepted) -> Outcome {
        self.waiting.push(accepted)
    }

    /// Ends an event that the core did not take.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if let Some(tracked) = &mut self.tracked {
            tracked.end(outcome);
        }
    }

    /// Resolves when all that was taken is durable; then all has ended.
    ///
    /// # Errors
    /// Where it never will be: it ended as `overloaded`.
    pub(super) async fn wait(mut self) -> Result<(), Refused> {
        let durable = if self.waiting.is_empty() {
            Ok(())
        } else {
            self.core.durable(self.waiting.offset).await
        };
        if let Some(mut tracked) = self.tracked.take() {
            self.waiting.end(&mut tracked, durable);
        }
        durable
    }
}

impl<A: Accept> Drop for Receipt<'_, A> {
    /// The client hung up, but what was taken is in the journal's buffer: the wait goes on without it.
    /// Events that were not yet read end as `internal`.
    fn drop(&mut self) {
        let Some(mut tracked) = self.tracked.take() else {
            return;
        };
        if self.waiting.is_empty() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let (core, waiting) = (self.core.clone(), self.waiting);
            runtime.spawn(async move {
                let durable = core.durable(waiting.offset).await;
                waiting.end(&mut tracked, durable);
            });
        }
    }
}
