//! The activation cursor: hands the membership changes of each durable record to the outbox.
//!
//! The outbox stores rows and its own position in one atomic batch; the journal's cursor, which
//! only holds segments, follows after it. Over records that dispatch nothing the journal's cursor
//! goes ahead, by at most 10,000 records. A start goes on from the outbox's position: what lies between the two
//! is read again, in case `state` is of an earlier moment than the journal.
//! Gates, templates, retries and everything else about delivery are the activation crate's.

mod metrics;

use std::fmt::Display;
use std::io;
use std::thread::JoinHandle;

use tidegate_activation::{Activation, Intent, StoreError, gate};
use tidegate_event::Pulse;
use tidegate_journal::{Cursor, CursorClass, CursorError};
use tokio::runtime::Handle;

pub use metrics::OutboxFigures;

use super::follow::{Follow, Next, Pace, StopSender, drive};
use super::source::{Found, Source};

/// The cursor's name.
pub const CURSOR: &str = "activation";

/// Changes handed in at once: one fsync of the outbox.
const BATCH_INTENTS: usize = 1_000;
/// Records read between two hand-ins, when they dispatch little.
const BATCH_RECORDS: usize = 10_000;
/// Once there is something new it waits this long for more: under load one wake-up, and one fsync
/// of the outbox, then serve many of the journal's batches.
const GATHER_MS: u64 = 5;
/// Records without a change for the outbox before its own position is written.
const PASSED_MAX: u64 = if cfg!(test) { 20 } else { 10_000 };
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
        source: Source,
        activation: &Activation,
        runtime: Handle,
        pulse: Pulse,
    ) -> Result<Self, StartError> {
        let journal = source.journal().clone();
        let cursor = journal.cursor(CURSOR, CursorClass::Required)?;
        let (stop, pace) = Pace::new(runtime);
        let follower = Follower::new(source, activation.clone(), cursor);
        let activation = activation.clone();
        let body = move || {
            let capacity = || activation.wait_for_capacity();
            drive(follower, pace, &journal, capacity, |doing| {
                doing.show(&pulse);
            });
        };
        let thread = std::thread::Builder::new()
            .name("activation-cursor".to_owned())
            .spawn(body)?;
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

/// What the cursor hands to. The rules are those of [`Activation`]'s methods.
pub(crate) trait Outbox {
    /// Why it takes nothing.
    type Error: Display;

    /// No destination wants any change now.
    fn wants_nothing(&self) -> bool;

    /// The next offset to hand in, stored together with the rows.
    fn cursor(&self) -> u64;

    /// Stores the changes of the records before `next`; everything below the returned offset is
    /// taken.
    ///
    /// # Errors
    /// Nothing of it was taken.
    fn hand_in(&self, batch: &[Intent], next: u64) -> Result<u64, Self::Error>;

    /// Stores that it needs nothing of the records before `next`.
    ///
    /// # Errors
    /// Its cursor stays.
    fn follow(&self, next: u64) -> Result<(), Self::Error>;
}

impl Outbox for Activation {
    type Error = StoreError;

    fn wants_nothing(&self) -> bool {
        Self::wants_nothing(self)
    }

    fn cursor(&self) -> u64 {
        Self::cursor(self)
    }

    fn hand_in(&self, batch: &[Intent], next: u64) -> Result<u64, StoreError> {
        Self::hand_in(self, batch, next)
    }

    fn follow(&self, next: u64) -> Result<(), StoreError> {
        Self::follow(self, next)
    }
}

/// The cursor's loop: reads a batch, hands it in, and goes on behind it.
pub(crate) struct Follower<O> {
    source: Source,
    outbox: O,
    cursor: Cursor,
    /// Read, all of it below the source's position, and not taken yet.
    batch: Vec<Intent>,
    /// Everything below was handed in, or dispatches nothing. 0 before the first record was read.
    done: u64,
    ended: bool,
}

/// The cursor cannot go on from here; the reason is logged.
struct Failed;

impl<O: Outbox> Follow for Follower<O> {
    fn step(&mut self) -> Next {
        if self.ended {
            return Next::Done;
        }
        let stepped = if self.batch.is_empty() {
            self.read()
        } else {
            self.hand_in()
        };
        stepped.unwrap_or_else(|Failed| {
            self.batch.clear();
            self.source.close();
            Next::Pause(BACKOFF_MS)
        })
    }

    fn gather_ms(&self) -> u64 {
        GATHER_MS
    }

    /// The batch in hand is read again next time, and nothing before it.
    fn end(&mut self) {
        // The reason of a failure is logged; the next start reads a little more.
        let _followed = self.let_outbox_follow(0);
        self.ended = true;
    }
}

impl<O: Outbox> Follower<O> {
    pub(crate) fn new(source: Source, outbox: O, cursor: Cursor) -> Self {
        Self {
            source,
            outbox,
            cursor,
            batch: Vec::new(),
            done: 0,
            ended: false,
        }
    }

    /// Reads the round's records until the batch is full.
    fn read(&mut self) -> Result<Next, Failed> {
        // In this order: what is durable here was decided before a destination came.
        let durable = self.source.look(u64::MAX);
        if self.outbox.wants_nothing() {
            self.source.close();
            self.advance(durable)?;
            return Ok(Next::WaitPast(durable));
        }
        if !self.source.is_open() {
            self.open()?;
        }
        let collected = collect(&mut self.source, &mut self.batch);
        // What stands before a record that cannot be read does not wait for it.
        if !self.batch.is_empty() {
            return Ok(Next::WaitCapacity);
        }
        let next = self.go_on(durable)?;
        collected.map(|()| next)
    }

    fn open(&mut self) -> Result<(), Failed> {
        let from = self.start();
        self.source.open(from).map_err(|error| {
            tracing::error!(%error, "activation cannot read the journal");
            Failed
        })
    }

    /// The first record to read. The outbox's own position is behind the journal's cursor over
    /// records that dispatched nothing, or where `state` is of an earlier moment; ahead of it after
    /// a crash between the two.
    fn start(&self) -> u64 {
        let (stored, position) = (self.outbox.cursor(), self.cursor.position());
        if self.done > 0 {
            return stored.max(self.done);
        }
        // Builds wrote no position before the first change.
        if stored == 0 || stored >= position {
            return stored.max(position);
        }
        let oldest = self.source.journal().oldest_offset();
        if stored < oldest {
            tracing::warn!(
                from = stored,
                to = oldest,
                "the outbox does not say whether it has the changes of these records, and the journal \
                 no longer keeps them"
            );
        }
        stored.max(oldest)
    }

    /// Writes to the outbox how far it is where its own position is more than `behind_max` records
    /// behind.
    fn let_outbox_follow(&self, behind_max: u64) -> Result<(), Failed> {
        if self.done <= self.outbox.cursor().saturating_add(behind_max) {
            return Ok(());
        }
        self.outbox.follow(self.done).map_err(|error| {
            tracing::error!(%error, "the outbox takes no position");
            Failed
        })
    }

    fn hand_in(&mut self) -> Result<Next, Failed> {
        let next = self.source.position();
        let taken = self.outbox.hand_in(&self.batch, next).map_err(|error| {
            tracing::error!(%error, "the outbox takes no changes; trying again");
            Failed
        })?;
        self.batch.retain(|intent| intent.offset() >= taken);
        self.advance(taken)?;
        Ok(if self.batch.is_empty() {
            Next::Again
        } else {
            Next::WaitCapacity
        })
    }

    fn go_on(&mut self, durable: u64) -> Result<Next, Failed> {
        let position = self.source.position();
        self.advance(position)?;
        Ok(if position >= durable {
            Next::WaitPast(durable)
        } else {
            Next::Again
        })
    }

    /// All before `to` is done. The journal's cursor goes there, the outbox's position now and then.
    fn advance(&mut self, to: u64) -> Result<(), Failed> {
        self.done = self.done.max(to);
        if to > self.cursor.position() {
            self.cursor.advance(to);
        }
        self.let_outbox_follow(PASSED_MAX)
    }
}

/// Reads on until the batch is full or the round ends.
fn collect(source: &mut Source, batch: &mut Vec<Intent>) -> Result<(), Failed> {
    for _ in 0..BATCH_RECORDS {
        let found = source.next().map_err(|error| {
            tracing::error!(%error, "activation cannot read the journal");
            Failed
        })?;
        let record = match found {
            Found::Record(record) => record,
            Found::PassedOver => continue,
            Found::End => break,
        };
        // What a gate refuses is not dispatched, and that is all that becomes of it.
        if let Ok(intents) = gate::intents(record.offset, &record.view.head) {
            batch.extend(intents);
        }
        if batch.len() >= BATCH_INTENTS {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
