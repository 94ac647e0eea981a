//! The outbox's own thread, as steps: takes commands in groups and writes each group at once.
//! Storage may block for milliseconds, which the async workers must not.

use std::sync::Arc;

use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

use super::prune::{Pruning, drop_aged};
use super::refill::refill;
use super::settle::{after, settle};
use super::storage::Durability;
use crate::dead_letter::DeadRow;
use crate::destination::Destination;
use crate::intent::{Attempted, Key, Row};
use crate::queue::DueChange;
use crate::shared::Shared;

/// Commands written in one batch at most.
const GROUP_MAX: usize = 256;

/// Work for the thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Write how the delivery of a row ended.
    Settle(Box<Settlement>),
    /// Load due rows into memory.
    Refill(Arc<Destination>),
    /// Remember that the destination answered 410.
    Disable(Arc<Destination>),
    /// Drop dead letters that are too old.
    DropAged(Arc<Destination>),
}

/// The result of a row that was in flight.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) destination: Arc<Destination>,
    pub(crate) key: Key,
    pub(crate) offset: u64,
    pub(crate) due: DueChange,
    /// None where nothing was sent.
    pub(crate) attempted: Option<Attempted>,
    pub(crate) ending: Ending,
}

/// Where the row went.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Delivered.
    Delivered,
    /// It waits for another attempt.
    Parked(Row),
    /// A dead letter.
    Dead(DeadRow),
}

/// What the thread does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Step again.
    Again,
    /// Wait for a command.
    Wait,
    /// Every sender is gone: end.
    Done,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    group: Vec<Command>,
    pruning: Pruning,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, commands: Receiver<Command>) -> Self {
        Self {
            shared,
            commands,
            group: Vec::with_capacity(GROUP_MAX),
            pruning: Pruning::default(),
        }
    }

    /// Writes one group of the commands that wait. After a failed write it takes them and does
    /// nothing: the rows are in the outbox when that is opened again.
    pub(crate) fn step(&mut self) -> Step {
        let open = self.gather();
        if self.group.is_empty() {
            return if open { Step::Wait } else { Step::Done };
        }
        let group = std::mem::take(&mut self.group);
        if !self.shared.has_failed() {
            apply(&self.shared, group);
            self.pruning.step(&self.shared);
        }
        Step::Again
    }

    /// False once every sender is gone.
    fn gather(&mut self) -> bool {
        while self.group.len() < GROUP_MAX {
            match self.commands.try_recv() {
                Ok(command) => self.group.push(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn has_work(&self) -> bool {
        !self.group.is_empty() || !self.commands.is_empty()
    }

    /// Blocks until there is something to step for.
    pub(crate) fn wait(&mut self) {
        self.group.extend(self.commands.blocking_recv());
    }
}

fn apply(shared: &Shared, group: Vec<Command>) {
    let Ok(outbox) = shared.outbox() else {
        return;
    };
    let letters = shared.dead_letters.lock();
    let mut write = outbox.write();
    for command in &group {
        match command {
            Command::Settle(settlement) => settle(shared, &letters, &mut write, settlement),
            // Unless somebody enabled it in the meantime.
            Command::Disable(destination) if destination.is_switched_off() => {
                let fingerprint = destination.plan().fingerprint();
                write.set_disabled(destination.id, Some(fingerprint));
            }
            Command::Disable(_) | Command::Refill(_) | Command::DropAged(_) => {}
        }
    }
    if !write.is_empty() {
        write.note_clock(shared.clock.now());
    }
    if shared.commit(write, Durability::Buffered).is_err() {
        return;
    }
    drop(letters);
    for command in group {
        match command {
            Command::Settle(settlement) => after(shared, &settlement),
            Command::Refill(destination) => refill(shared, &destination),
            Command::DropAged(destination) => drop_aged(shared, &destination),
            Command::Disable(_) => {}
        }
    }
}
