//! Stop, in reverse: no new hits, timers off, what is in flight durable, sinks parked, state
//! written. Each step has its share of the time; what outlasts it is left and logged, because the
//! journal holds everything that was acknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_activation::Activation;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout, timeout_at};

use super::Gateway;
use crate::core::Core;
use crate::core::checkpoint::Extent;
use crate::cursors::activation::ActivationCursor;
use crate::cursors::kafka::KafkaSink;
use crate::settings::{Drain, Settings};

/// How long callbacks in flight may take to end, where the deadline leaves that much.
const CALLBACKS_MAX: Duration = Duration::from_secs(5);

/// How long the steps of the end may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Requests in work.
    pub requests: Duration,
    /// Callbacks in flight.
    pub callbacks: Duration,
    /// All steps together.
    pub whole: Duration,
    /// A new process has the same sockets: the admin listener is left to it at once.
    pub handed_over: bool,
}

impl Patience {
    /// For an end without a successor: two thirds of the deadline are the requests'.
    #[must_use]
    pub fn of(drain: &Drain) -> Self {
        let whole = Duration::from_millis(drain.deadline_ms);
        Self {
            requests: whole * 2 / 3,
            callbacks: (whole / 6).min(CALLBACKS_MAX),
            whole,
            handed_over: false,
        }
    }

    /// For an end that a new process waits for, and its clients with it.
    #[must_use]
    pub fn handing_over(drain: &Drain) -> Self {
        let requests = Duration::from_millis(drain.hand_over_ms);
        Self {
            requests,
            callbacks: requests / 2,
            whole: Duration::from_millis(drain.deadline_ms).max(requests),
            handed_over: true,
        }
    }
}

/// What was left for the next start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Connections cut off with a request in work, or a client that did not let go.
    pub connections: u64,
    /// Callbacks in the outbox.
    pub callbacks: u64,
    /// Kafka records behind the durable watermark.
    pub kafka_records: u64,
    /// The checkpoint failed or was not done in time: the next start replays more.
    pub unwritten_state: bool,
}

impl Gateway {
    /// The settings that it runs by.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.reloads.in_force()
    }

    /// Readiness, and the edge's own probe, say no from now on; everything else goes on.
    pub fn announce_stop(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Stops in order and says what is left. Nothing acknowledged is lost by anything left.
    pub async fn stop(self, patience: Patience) -> Leftover {
        let deadline = sleep(patience.whole).deadline();
        self.announce_stop();
        self.liveness.stopping();
        let Self {
            core,
            catalogs,
            reloads,
            edge,
            activation,
            activation_cursor,
            kafka,
            stop,
            stop_admin,
            mut edge_task,
            admin_task,
            background,
            offer,
            ..
        } = self;
        withdraw(offer).await;
        stop.send_replace(true);
        if patience.handed_over {
            stop_admin.send_replace(true);
        }
        let mut left = Leftover::default();
        if timeout(patience.requests, ended(&mut edge_task))
            .await
            .is_err()
        {
            left.connections = edge.connections();
            edge_task.abort();
        }
        drop((catalogs, reloads, edge));
        let state = Arc::new(parking_lot::Mutex::new(left.clone()));
        let rest = Rest {
            core: core.clone(),
            activation,
            activation_cursor,
            kafka,
            callbacks: patience.callbacks,
        };
        let ending = async {
            flush(&core).await;
            // Until here probes and the last metrics were answered.
            stop_admin.send_replace(true);
            for task in std::iter::once(admin_task).chain(background) {
                ended(task).await;
            }
            rest.end(&state).await;
        };
        if timeout_at(deadline, ending).await.is_err() {
            let mut state = state.lock();
            state.unwritten_state = true;
            state.kafka_records = kafka_lag(&core);
        }
        left.clone_from(&state.lock());
        left
    }
}

/// Ends the offer to a successor: its copies of the sockets would keep an accept queue open.
async fn withdraw(offer: Option<JoinHandle<()>>) {
    if let Some(offer) = offer {
        offer.abort();
        let _aborted = offer.await;
    }
}

/// Waits for a task; one that panicked is in the log by its thread, and here by what it held up.
async fn ended(task: impl Future<Output = Result<(), JoinError>>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "a task did not end in order");
    }
}

/// What ends after the last request.
struct Rest {
    core: Core,
    activation: Activation,
    activation_cursor: Option<ActivationCursor>,
    kafka: Option<KafkaSink>,
    callbacks: Duration,
}

impl Rest {
    /// Notes in `left` step by step what is left, so that it is known wherever time runs out.
    async fn end(self, left: &parking_lot::Mutex<Leftover>) {
        let Self {
            core,
            activation,
            activation_cursor,
            kafka,
            callbacks,
        } = self;
        flush(&core).await;
        let sinks = tokio::task::spawn_blocking(move || {
            if let Some(kafka) = kafka {
                kafka.stop();
            }
            if let Some(cursor) = activation_cursor {
                cursor.stop();
            }
        });
        if let Err(error) = sinks.await {
            tracing::error!(%error, "a cursor did not end in order");
        }
        left.lock().kafka_records = kafka_lag(&core);
        left.lock().callbacks = activation.shutdown(callbacks).await.queued;
        let state = tokio::task::spawn_blocking(move || {
            let written = core.checkpoint(Extent::All);
            core.journal().shutdown();
            if let Err(error) = &written {
                tracing::error!(%error, "the last checkpoint was not written");
            }
            written.is_ok()
        });
        let written = state.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the last checkpoint did not end in order");
            false
        });
        left.lock().unwritten_state = !written;
    }
}

/// Waits until all that was accepted is durable.
async fn flush(core: &Core) {
    let end = core.journal().next_offset();
    if end > 0 {
        // On a failed disk there is nothing more to wait for.
        let _ = core.journal().wait_durable(end - 1).await;
    }
}

fn kafka_lag(core: &Core) -> u64 {
    let cursors = core.journal().cursors();
    cursors
        .iter()
        .find(|cursor| cursor.name == "kafka")
        .map_or(0, |cursor| cursor.lag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_get_two_thirds_of_a_deadline_and_a_hand_over_its_own_time() {
        let drain = Drain {
            readiness_delay_ms: 0,
            deadline_ms: 30_000,
            hand_over_ms: 1_000,
        };
        let ending = Patience::of(&drain);
        assert_eq!(ending.requests, Duration::from_secs(20));
        assert_eq!(ending.callbacks, Duration::from_secs(5));
        assert_eq!(ending.whole, Duration::from_secs(30));
        let handing = Patience::handing_over(&drain);
        assert_eq!(handing.requests, Duration::from_secs(1));
        assert_eq!(handing.callbacks, Duration::from_millis(500));
    }
}
