//! Builds with a known error, which the simulation must find.

use tidegate_activation::{Activation, Intent, gate, simulation};
use tidegate_event::record::RecordView;
use tidegate_journal::{Cursor, Reader};

use super::machine::Workshop;
use crate::core::Core;
use crate::cursors::follow::{Follow, Next};
use crate::cursors::source::Source;

/// One error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    /// The activation cursor reads past the watermark that it hands in: the stall of 2026.
    ReadsPastTheWatermark,
    /// The activation cursor moves before its outbox has stored the changes.
    AdvancesBeforeStored,
    /// What the activation crate does wrong.
    Delivery(simulation::Mutant),
    /// Kafka's cursor passes an offset that was not acknowledged.
    UnacknowledgedSkipped,
    /// Eviction leaves no entry in the due index.
    TimersLostAtEviction,
    /// The checkpoint's cursor passes profiles that are not written.
    CheckpointRunsAhead,
}

impl Mutant {
    pub(super) const ALL: [Self; 7] = [
        Self::ReadsPastTheWatermark,
        Self::AdvancesBeforeStored,
        Self::Delivery(simulation::Mutant::CursorFirst),
        // The journal's cursor is saved ahead of rows that a loss of power takes.
        Self::Delivery(simulation::Mutant::HandInUnsynced),
        Self::UnacknowledgedSkipped,
        Self::TimersLostAtEviction,
        Self::CheckpointRunsAhead,
    ];

    /// The error in the activation cursor's loop, if it is there.
    pub(super) fn follow_fault(self) -> Option<FollowFault> {
        match self {
            Self::ReadsPastTheWatermark => Some(FollowFault::ReadsPastTheWatermark),
            Self::AdvancesBeforeStored => Some(FollowFault::AdvancesBeforeStored),
            Self::Delivery(_)
            | Self::UnacknowledgedSkipped
            | Self::TimersLostAtEviction
            | Self::CheckpointRunsAhead => None,
        }
    }

    /// The error in the activation crate, if it is there.
    pub(super) fn delivery(self) -> Option<simulation::Mutant> {
        match self {
            Self::Delivery(mutant) => Some(mutant),
            _ => None,
        }
    }

    /// What the error does beside a checkpoint.
    pub(super) fn after_checkpoint(self, workshop: &Workshop, core: &Core) {
        match self {
            Self::TimersLostAtEviction => {
                let due = workshop.database().keyspace("due", Default::default);
                due.unwrap().clear().unwrap();
            }
            Self::CheckpointRunsAhead => core.run_the_checkpoint_ahead(),
            Self::ReadsPastTheWatermark
            | Self::AdvancesBeforeStored
            | Self::Delivery(_)
            | Self::UnacknowledgedSkipped => {}
        }
    }
}

/// An error in the loop of the activation cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FollowFault {
    ReadsPastTheWatermark,
    AdvancesBeforeStored,
}

impl FollowFault {
    pub(super) fn follower(
        self,
        source: Source,
        outbox: Activation,
        cursor: Cursor,
    ) -> FaultyFollower {
        FaultyFollower {
            fault: self,
            source,
            outbox,
            cursor,
            reader: None,
            batch: Vec::new(),
            next: 0,
            caught_up: false,
            ended: false,
        }
    }
}

/// The loop as it was, with its reader and its watermark apart.
pub(super) struct FaultyFollower {
    fault: FollowFault,
    source: Source,
    outbox: Activation,
    cursor: Cursor,
    reader: Option<Reader>,
    batch: Vec<Intent>,
    next: u64,
    caught_up: bool,
    ended: bool,
}

impl Follow for FaultyFollower {
    fn step(&mut self) -> Next {
        if self.ended {
            return Next::Done;
        }
        if self.batch.is_empty() && !self.read() {
            self.reader = None;
            return Next::Pause(1_000);
        }
        if self.batch.is_empty() {
            self.advance(self.next);
            return self.again();
        }
        if self.fault == FollowFault::AdvancesBeforeStored {
            self.advance(self.next);
        }
        let Ok(taken) = self.outbox.hand_in(&self.batch, self.next) else {
            self.batch.clear();
            self.reader = None;
            return Next::Pause(1_000);
        };
        self.batch.retain(|intent| intent.offset() >= taken);
        self.advance(taken);
        if self.batch.is_empty() {
            self.advance(self.next);
            return self.again();
        }
        Next::WaitCapacity
    }

    fn end(&mut self) {
        self.ended = true;
    }
}

impl FaultyFollower {
    /// Reads all there is; false where it cannot.
    fn read(&mut self) -> bool {
        let durable = self.source.look(u64::MAX);
        if self.outbox.wants_nothing() {
            self.reader = None;
            (self.next, self.caught_up) = (durable, true);
            return true;
        }
        let bound = match self.fault {
            FollowFault::ReadsPastTheWatermark => u64::MAX,
            FollowFault::AdvancesBeforeStored => durable,
        };
        let from = self.outbox.cursor().max(self.cursor.position());
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => match self.source.journal().reader(from) {
                Ok(reader) => self.reader.insert(reader),
                Err(_) => return false,
            },
        };
        loop {
            match reader.next_below(bound) {
                Ok(Some(frame)) => {
                    let Ok(view) = RecordView::read(frame.payload) else {
                        continue;
                    };
                    let intents = gate::intents(frame.offset, &view.head);
                    self.batch.extend(intents.unwrap_or_default());
                }
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        (self.next, self.caught_up) = (durable, true);
        true
    }

    fn again(&self) -> Next {
        if self.caught_up {
            Next::WaitPast(self.next)
        } else {
            Next::Again
        }
    }

    fn advance(&mut self, to: u64) {
        if to > self.cursor.position() {
            self.cursor.advance(to);
        }
    }
}
