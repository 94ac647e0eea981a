//! What the journal says must have happened, held against the state and Kafka; callbacks are
//! [`super::callbacks`].

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use tidegate_activation::gate;
use tidegate_event::record::{Fold, Record, RecordView};
use tidegate_event::{ProfileId, Timestamp};
use tidegate_journal::{Cursor, Journal};

use super::callbacks::Callbacks;
use crate::core::Core;
use crate::cursors::kafka::scripted::Broker;
use crate::profile::{Profile, fold, merge};

/// Follows the durable journal over all lives.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    upto: u64,
    /// A fold of the journal with nothing but the fold.
    profiles: BTreeMap<ProfileId, Profile>,
    /// Records that Kafka must get; those behind the cursor are dropped.
    records: VecDeque<(u64, Vec<u8>)>,
    /// What destinations must get, and got.
    pub(super) callbacks: Callbacks,
    /// What was seen, to know that the runs go everywhere.
    pub(super) seen: Seen,
}

/// Counts over a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) records: u64,
    pub(super) changes: u64,
    pub(super) timers: u64,
    /// Records that do not parse.
    pub(super) unreadable: u64,
    /// Profiles merged into another.
    pub(super) merges: u64,
    pub(super) aliases: u64,
    /// Events of a server.
    pub(super) of_servers: u64,
    /// Events without any identifier.
    pub(super) anonymous: u64,
    /// Events in a session of another profile's device.
    pub(super) shared: u64,
}

impl Seen {
    pub(super) fn add(&mut self, run: Self) {
        self.records += run.records;
        self.changes += run.changes;
        self.timers += run.timers;
        self.unreadable += run.unreadable;
        self.merges += run.merges;
        self.aliases += run.aliases;
        self.of_servers += run.of_servers;
        self.anonymous += run.anonymous;
        self.shared += run.shared;
    }

    /// Counts a record of the journal.
    fn record(&mut self, head: &Record<'_>) {
        self.records += 1;
        self.aliases += u64::from(head.kind == "alias");
        self.of_servers += u64::from(head.source == "crm");
        match &head.fold {
            Fold::Event(_) => self.anonymous += u64::from(head.profile.is_none()),
            Fold::SessionEnd(_) => self.timers += 1,
            Fold::ProfileMerged(_) => self.merges += 1,
            Fold::SessionContinued(_) => self.shared += 1,
            _ => {}
        }
    }
}

impl Ledger {
    /// Reads what became durable, and lets the journal go of it.
    pub(super) fn read_on(&mut self, journal: &Journal, cursor: &Cursor) {
        let durable = journal.durable();
        if self.upto >= durable {
            return;
        }
        let mut reader = journal.reader(self.upto).expect("its own cursor holds it");
        // A disk without power does not read; a later life goes on here.
        while let Ok(Some(frame)) = reader.next_below(durable) {
            self.upto = frame.offset + 1;
            let Ok(view) = RecordView::read(frame.payload) else {
                continue;
            };
            let head = view.head;
            let intents = gate::intents(frame.offset, &head).unwrap_or_default();
            self.seen.record(&head);
            self.seen.changes += intents.len() as u64;
            for change in intents {
                self.callbacks.add(change);
            }
            self.records
                .push_back((frame.offset, frame.payload.to_vec()));
            if let Some(id) = head.profile {
                let loser = match &head.fold {
                    Fold::ProfileMerged(merged) => self.profiles.remove(&merged.loser),
                    _ => None,
                };
                let profile = self.profiles.entry(id).or_insert_with(|| Profile::new(id));
                fold::record(profile, loser.as_ref(), &head, frame.offset);
                if let Some(mut loser) = loser {
                    merge::retire(&mut loser, id, frame.offset);
                    self.profiles.insert(loser.id, loser);
                }
            }
        }
        if reader.position() >= durable {
            self.upto = durable;
            cursor.advance(durable);
        }
    }

    /// Everything durable was read.
    pub(super) fn has_read(&self, journal: &Journal) -> bool {
        self.upto == journal.durable()
    }

    /// Nothing the Kafka cursor is past is lost.
    ///
    /// # Errors
    /// What is lost.
    pub(super) fn check_kafka(
        &mut self,
        broker: &Broker,
        journal: &str,
        cursor: u64,
        dead_letters: &Path,
    ) -> Result<(), String> {
        if broker.disordered() > 0 {
            return Err("kafka got records of one key out of order".to_owned());
        }
        while let Some((offset, payload)) = self.records.front().filter(|one| one.0 < cursor) {
            let missing = broker.missing(journal, *offset, payload, dead_letters);
            if missing > 0 {
                return Err(format!(
                    "the kafka cursor is at {cursor}, and {missing} messages of offset {offset} were never taken"
                ));
            }
            self.records.pop_front();
        }
        Ok(())
    }

    /// The state is the fold of the journal. Only where all of it is durable.
    ///
    /// # Errors
    /// The first difference.
    pub(super) fn check_state(&self, core: &Core) -> Result<(), String> {
        let mut found = BTreeMap::new();
        core.each_profile(|profile| {
            found.insert(profile.id, profile.clone());
        })
        .map_err(|error| error.to_string())?;
        for (id, profile) in &self.profiles {
            match found.get(id) {
                Some(same) if same == profile => {}
                Some(_) => return Err(format!("profile {id:?} is not the fold of the journal")),
                None => return Err(format!("profile {id:?} is lost")),
            }
        }
        // One that was made for a hit which was refused holds nothing.
        found.retain(|id, profile| !self.profiles.contains_key(id) && profile.applied_offset > 0);
        match found.keys().next() {
            Some(id) => Err(format!("profile {id:?} is in no record")),
            None => Ok(()),
        }
    }

    /// A profile with something due before `time` that has not fired.
    pub(super) fn overdue(&self, time: Timestamp) -> Option<ProfileId> {
        let mut profiles = self.profiles.values();
        let late = profiles.find(|profile| profile.due().is_some_and(|due| due < time));
        late.map(|profile| profile.id)
    }
}
