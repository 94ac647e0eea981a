//! The activation cursor: hands the membership changes of each durable record to the outbox.
//!
//! The outbox stores rows and its own position in one atomic batch; the journal's cursor, which
//! only holds segments, follows after it. Records that dispatch nothing cost the outbox nothing.
//! Gates, templates, retries and everything else about delivery are the activation crate's.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_activation::{Activation, Intent, gate};
use tidegate_event::Pulse;
use tidegate_event::record::RecordView;
use tidegate_journal::{Cursor, CursorClass, CursorError, Journal, Reader};
use tokio::runtime::Handle;

use super::follow::{Pace, StopSender};

/// The cursor's name.
pub const CURSOR: &str = "activation";

/// Changes handed in at once: one fsync of the outbox.
const BATCH_INTENTS: usize = 1_000;
/// Records read between two hand-ins, when they dispatch little.
const BATCH_RECORDS: usize = 10_000;
/// Once there is something new it waits this long for more: under load one wake-up, and one fsync
/// of the outbox, then serve many of the journal's batches.
const GATHER: Duration = Duration::from_millis(5);
/// How often an idle cursor looks by itself, in milliseconds.
const IDLE_MS: u64 = 1_000;
/// Breath between two looks at a journal that has nothing and may have ended, in milliseconds.
const ENDED_MS: u64 = 5;
/// How long it waits after a failed read or hand-in, in milliseconds.
const BACKOFF_MS: u64 = 1_000;

/// Why the cursor did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal's side of it.
    #[error("the activation cursor: {0}")]
    Cursor(#[from] CursorError),
    /// Its thread.
    #[error("the activation cursor: {0}")]
    Thread(#[from] io::Error),
}

/// The running cursor.
#[derive(Debug)]
pub struct ActivationCursor {
    stop: StopSender,
    thread: Option<JoinHandle<()>>,
}

impl ActivationCursor {
    /// Starts on a thread of its own, where the outbox left off. `runtime` gives the timers.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(
        journal: &Journal,
        activation: &Activation,
        runtime: Handle,
        pulse: Pulse,
    ) -> Result<Self, StartError> {
        let cursor = journal.cursor(CURSOR, CursorClass::Required)?;
        let (stop, pace) = Pace::new(runtime);
        let follower = Follower {
            journal: journal.clone(),
            activation: activation.clone(),
            cursor,
            pace: pace.beating(pulse),
        };
        let thread = std::thread::Builder::new()
            .name("activation-cursor".to_owned())
            .spawn(move || follower.run())?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends after the batch in hand; the outbox goes on from there next time. Blocks meanwhile.
    pub fn stop(mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the activation cursor's thread ended by a panic");
        }
    }
}

struct Follower {
    journal: Journal,
    activation: Activation,
    cursor: Cursor,
    pace: Pace,
}

/// The cursor cannot go on from here; the reason is logged.
struct Failed;

impl Follower {
    fn run(mut self) {
        while !self.pace.stopped() {
            if self.activation.wants_nothing() {
                self.pass_over();
            } else if self.follow().is_err() {
                self.pace.pause(BACKOFF_MS);
            }
        }
    }

    /// While nobody wants any change the records are not even read.
    fn pass_over(&mut self) {
        while !self.pace.stopped() {
            // In this order: what is durable here was decided before a destination came.
            let durable = self.journal.durable();
            if !self.activation.wants_nothing() {
                return;
            }
            self.advance(durable);
            self.wait_past(durable);
        }
    }

    /// The journal's cursor may be ahead of the outbox, over records that dispatched nothing, and
    /// behind it after a crash between the two.
    fn follow(&mut self) -> Result<(), Failed> {
        let from = self.activation.cursor().max(self.cursor.position());
        let mut reader = self.journal.reader(from).map_err(|error| {
            tracing::error!(%error, "activation cannot read the journal");
            Failed
        })?;
        let mut batch = Vec::new();
        while !self.pace.stopped() {
            let durable = self.journal.durable();
            if self.activation.wants_nothing() {
                return Ok(());
            }
            let next = collect(&mut reader, &mut batch)?;
            let caught_up = next.is_none();
            let next = next.unwrap_or(durable);
            self.hand_in(&mut batch, next)?;
            if caught_up {
                self.wait_past(durable);
            }
        }
        Ok(())
    }

    fn wait_past(&mut self, durable: u64) {
        let past = self.journal.wait_past(durable);
        self.pace.until(past, IDLE_MS);
        std::thread::sleep(GATHER);
        // A journal that has ended answers at once, for ever.
        if self.journal.durable() == durable {
            self.pace.pause(ENDED_MS);
        }
    }

    fn hand_in(&mut self, batch: &mut Vec<Intent>, next: u64) -> Result<(), Failed> {
        while !batch.is_empty() {
            self.pace.until(self.activation.wait_for_room(), u64::MAX);
            if self.pace.stopped() {
                return Ok(());
            }
            let taken = self.activation.hand_in(batch, next).map_err(|error| {
                tracing::error!(%error, "the outbox takes no changes; trying again");
                Failed
            })?;
            batch.retain(|intent| intent.offset >= taken);
            self.advance(taken);
        }
        self.advance(next);
        Ok(())
    }

    fn advance(&mut self, to: u64) {
        if to > self.cursor.position() {
            self.cursor.advance(to);
        }
    }
}

/// Reads until the batch is full or nothing is left. Some: the offset to go on from, with more to
/// come; None: everything that was durable when asked.
fn collect(reader: &mut Reader, batch: &mut Vec<Intent>) -> Result<Option<u64>, Failed> {
    let mut next = None;
    for _ in 0..BATCH_RECORDS {
        let frame = reader.next().map_err(|error| {
            tracing::error!(%error, "activation cannot read the journal");
            Failed
        })?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        let offset = frame.offset;
        let view = RecordView::read(frame.payload).map_err(|error| {
            tracing::error!(%error, offset, "activation cannot read a record");
            Failed
        })?;
        // What a gate refuses is not dispatched, and that is all that becomes of it.
        if let Ok(intents) = gate::intents(offset, &view.head) {
            batch.extend(intents);
        }
        next = Some(offset + 1);
        if batch.len() >= BATCH_INTENTS {
            break;
        }
    }
    Ok(next)
}
