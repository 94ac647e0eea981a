//! The Kafka sink: each durable record goes to the events topic, each transition to its own, keyed
//! by profile, at least once and in order per key. Kafka being away costs nothing but disk: this
//! thread waits, ingest does not know of it.
//!
//! What it does not do: decide which topic an event belongs to, create topics, or keep a copy of
//! what it sends. After a crash or a fatal producer error it sends again from the cursor; readers
//! may tell repetitions by (journal, offset), and by `index` among transitions.

mod window;
mod record;
mod metrics;
mod producer;
mod dead_letters;
mod forward;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tidegate_event::Pulse;
use tidegate_journal::{CursorClass, CursorError};
use tokio::runtime::Handle;
use tokio::sync::watch;

use self::dead_letters::DeadLetters;
use self::forward::Forwarder;
use self::producer::Librdkafka;
use super::follow::{Pace, StopSender, drive};
use super::source::Source;
use crate::clock::Clock;
use crate::formats::dead_letters::DIR;
use crate::settings::Kafka;

pub use self::dead_letters::{BYTES_MAX as DEAD_LETTERS_BYTES_MAX, DeadLetter, list};
pub use self::metrics::Metrics;
pub use self::producer::{ConfigError, check};

/// The cursor's name.
pub const CURSOR: &str = "kafka";

/// Where the sink's dead letters are, under the data directory.
#[must_use]
pub fn dead_letters_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(DIR)
}

/// Why the sink did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `[kafka]` makes no producer.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its cursor.
    #[error("the kafka cursor: {0}")]
    Cursor(#[from] CursorError),
    /// Its dead letters, or its thread.
    #[error("the kafka sink: {0}")]
    Io(#[from] io::Error),
}

/// The running sink.
#[derive(Debug)]
pub struct KafkaSink {
    stop: StopSender,
    thread: Option<JoinHandle<()>>,
    acked: watch::Receiver<u64>,
    metrics: Metrics,
}

impl KafkaSink {
    /// Starts the sink on a thread of its own, at its cursor. `runtime` gives the timers.
    ///
    /// # Errors
    /// [`StartError`]; an unreachable broker is none.
    pub fn start(
        settings: Kafka,
        data_dir: &Path,
        source: Source,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        runtime: Handle,
        pulse: Pulse,
    ) -> Result<Self, StartError> {
        check(&settings)?;
        let journal = source.journal().clone();
        let cursor = journal.cursor(CURSOR, CursorClass::Required)?;
        let dead_letters =
            DeadLetters::open(&dead_letters_dir(data_dir), settings.dead_letters_max)?;
        let (acked, receiver) = watch::channel(cursor.position());
        let (stop, pace) = Pace::new(runtime);
        let connect = Librdkafka {
            settings,
            metrics: metrics.clone(),
        };
        let parts = forward::Parts {
            source,
            cursor,
            dead_letters,
            clock,
            metrics: metrics.clone(),
            acked,
        };
        let forwarder = Forwarder::new(parts, connect);
        let body = move || {
            let capacity = || async {};
            drive(forwarder, pace, &journal, capacity, |doing| {
                doing.show(&pulse);
            });
        };
        let thread = std::thread::Builder::new()
            .name("kafka".to_owned())
            .spawn(body)?;
        Ok(Self {
            stop,
            thread: Some(thread),
            acked: receiver,
            metrics,
        })
    }

    /// Every offset below the watched one is acknowledged by Kafka (or a dead letter):
    /// `ack = "kafka"` waits for it.
    #[must_use]
    pub fn acked(&self) -> watch::Receiver<u64> {
        self.acked.clone()
    }

    /// Its figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Takes no further record, gives Kafka a few seconds to acknowledge what it has, and parks the
    /// cursor. Blocks meanwhile.
    pub fn stop(mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the kafka thread ended by a panic");
        }
    }
}

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
