//! Stop, in reverse: no new hits, timers off, what is in flight durable, sinks parked, state
//! written.

use std::time::Duration;

use super::Gateway;
use crate::core::checkpoint::Extent;

/// How long callbacks in flight may take to end.
const ACTIVATION_PATIENCE: Duration = Duration::from_secs(5);

/// What was left for the next start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Callbacks in the outbox.
    pub callbacks: u64,
    /// Kafka records behind the durable watermark.
    pub kafka_records: u64,
    /// The checkpoint failed: the next start replays more.
    pub unwritten_state: bool,
}

impl Gateway {
    /// Stops in order and says what is left. Nothing acknowledged is lost by anything left.
    pub async fn stop(self) -> Leftover {
        let Self {
            core,
            activation,
            activation_cursor,
            kafka,
            stop,
            ..
        } = self;
        stop.send_replace(true);
        let _ = self.edge_task.await;
        let _ = self.admin_task.await;
        for task in self.background {
            let _ = task.await;
        }
        drop(self.catalogs);
        let end = core.journal().next_offset();
        if end > 0 {
            // On a failed disk there is nothing more to wait for.
            let _ = core.journal().wait_durable(end - 1).await;
        }
        let sinks = tokio::task::spawn_blocking(move || {
            if let Some(kafka) = kafka {
                kafka.stop();
            }
            if let Some(cursor) = activation_cursor {
                cursor.stop();
            }
        });
        let _ = sinks.await;
        let left = activation.shutdown(ACTIVATION_PATIENCE).await;
        let kafka_records = core
            .journal()
            .cursors()
            .iter()
            .find(|c| c.name == "kafka")
            .map_or(0, |c| c.lag);
        let state = tokio::task::spawn_blocking(move || {
            let written = core.checkpoint(Extent::All);
            core.journal().shutdown();
            written.is_ok()
        });
        Leftover {
            callbacks: left.queued,
            kafka_records,
            unwritten_state: !state.await.unwrap_or(false),
        }
    }
}
