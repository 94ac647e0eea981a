//! What the admin API asks of [`Activation`]. All of it but [`Activation::test`] and the counters
//! may block for a disk: async callers use `spawn_blocking`.

use std::sync::Arc;

use crate::activation::Activation;
use crate::dead_letter::DeadLetter;
use crate::destination::Destination;
use crate::error::{AdminError, StoreError};
use crate::replay::{ReplayReport, ReplayWhich, replay};
use crate::retry::{Answer, FailureKind, Verdict};
use crate::stats::{DestinationStatus, Metrics};

/// What a test call found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// Status of the answer, where there was one.
    pub status: Option<u16>,
    /// None: it would have been a delivery.
    pub failure: Option<FailureKind>,
    /// Until the answer.
    pub latency_ms: u64,
}

impl Activation {
    /// How every destination is doing, by name.
    #[must_use]
    pub fn list(&self) -> Vec<DestinationStatus> {
        let inner = self.inner();
        let now = inner.shared.clock.now();
        let destinations = inner.destinations();
        destinations.iter().map(|one| one.status(now)).collect()
    }

    /// Everything that is counted.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let inner = self.inner();
        let shared = &inner.shared;
        let now = shared.clock.now();
        let of =
            |destination: &Arc<Destination>| destination.stats.snapshot(destination.status(now));
        Metrics {
            destinations: inner.destinations().iter().map(of).collect(),
            outbox_rows: shared.rows(),
            outbox_orphaned: shared.orphans(),
            cursor: self.cursor(),
        }
    }

    /// The newest dead letters of a destination, at most `limit`. One that does not parse is left
    /// out and counted. Blocks.
    ///
    /// # Errors
    /// [`AdminError`]
    pub fn dead_letters(&self, name: &str, limit: usize) -> Result<Vec<DeadLetter>, AdminError> {
        let inner = self.inner();
        let destination = inner.find(name)?;
        let outbox = inner.shared.outbox()?;
        let plan = destination.plan();
        let newest: Vec<_> = destination.dead_letters.lock().numbers().rev().collect();
        let readable = newest.into_iter().filter_map(|number| {
            let letter = outbox.dead_one(destination.id, number);
            let unreadable = |error: StoreError| {
                let what = format!("a dead letter cannot be read: {error}");
                inner.shared.unreadable(&destination, &what);
            };
            Some((number, letter.map_err(unreadable).ok()??))
        });
        Ok(readable
            .take(limit)
            .map(|(id, row)| row.listed(id, &plan))
            .collect())
    }

    /// Queues dead letters again, rendered afresh, with the id they always had. Blocks.
    ///
    /// # Errors
    /// [`AdminError`]
    pub fn replay(&self, name: &str, which: ReplayWhich) -> Result<ReplayReport, AdminError> {
        let inner = self.inner();
        let destination = inner.find(name)?;
        let routes = inner.routes();
        Ok(replay(
            &inner.shared,
            &routes.capacity,
            &destination,
            which,
        )?)
    }

    /// Lifts any pause of a destination, a 410's too. Blocks.
    ///
    /// # Errors
    /// [`AdminError`]
    pub fn enable(&self, name: &str) -> Result<(), AdminError> {
        let inner = self.inner();
        let destination = inner.find(name)?;
        if !destination.plan().enabled {
            return Err(AdminError::Left);
        }
        destination.control.lock().breaker.enable();
        inner.lift(destination.id)?;
        destination.wake.ring();
        tracing::info!(destination = name, "enabled");
        Ok(())
    }

    /// Sends one signed test call (`type` `tidegate.test`), past queue and limits.
    ///
    /// # Errors
    /// [`AdminError::UnknownDestination`]
    pub async fn test(&self, name: &str) -> Result<TestReport, AdminError> {
        let inner = self.inner();
        let destination = inner.find(name)?;
        let shared = &inner.shared;
        let plan = destination.plan();
        let (sent_at, wall) = (shared.clock.now(), shared.clock.wall());
        let request = plan.test_request(wall);
        let answer = shared
            .transport
            .send(request, plan.limits.timeout_ms, wall)
            .await;
        let now = shared.clock.now();
        let status = match answer {
            Answer::Status { code, .. } => Some(code),
            Answer::Timeout | Answer::Connect | Answer::Blocked | Answer::Broken => None,
        };
        let failure = match plan.judge(answer, now) {
            Verdict::Delivered => None,
            Verdict::Retry { kind, .. } | Verdict::Permanent(kind) => Some(kind),
            Verdict::Auth => Some(FailureKind::Auth),
            Verdict::Gone => Some(FailureKind::Gone),
        };
        Ok(TestReport {
            status,
            failure,
            latency_ms: now.since(sent_at).max(0).unsigned_abs(),
        })
    }
}
