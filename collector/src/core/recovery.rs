//! From disk to live state: checkpoint plus tail is exactly the state before the crash.

use std::sync::Arc;

use fjall::Database;
use tidegate_event::ProfileId;
use tidegate_event::record::{Fold, Namespace, ProfileMerged, Record, RecordError, RecordView};
use tidegate_journal::{CursorClass, CursorError, Journal, ReadError};
use tidegate_rules_wasm::RuleError;

use super::catch_up::CatchUp;
use super::checkpoint::{Behind, CURSOR, Checkpointer};
use super::decider::{Compiled, Decider};
use super::dedup::Dedup;
use super::dedup_key::DedupKeys;
use super::metrics::CoreMetrics;
use super::schedule::Schedule;
use super::state::State;
use super::writer::Writer;
use super::{Core, CoreSettings, Inner, Mint};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::decide::RulesError;
use crate::profile::live::{Live, Profiles};
use crate::profile::store::{Holds, REMEDY, Store, StoreError};
use crate::profile::{OptionalTime, fold, merge};
use crate::unreadable::{Consumer, Held, Unreadable};

/// Why the state could not be brought back.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal's tail.
    #[error("cannot replay the journal: {}; {}", .0, way_on(.0))]
    Read(#[from] ReadError),
    /// A record of it.
    #[error("cannot replay the journal: {0}")]
    Record(#[from] Held),
    /// The store lost what the cursor says it has.
    #[error(
        "the profile store (`state` in the data directory) holds the journal up to offset {holds}, \
         and it was written up to {saved}: it is missing, damaged or of an earlier backup; {REMEDY}"
    )]
    StoreBehind {
        /// By the store.
        holds: u64,
        /// By the checkpoint's cursor.
        saved: u64,
    },
    /// The journal lost what the store was made of.
    #[error(
        "the profile store (`state` in the data directory) holds the journal up to offset {holds}, \
         and the journal ends at {durable}: it is of an earlier backup or lost its end; {REMEDY}"
    )]
    StoreAhead {
        /// By the store.
        holds: u64,
        /// The journal's end.
        durable: u64,
    },
    /// They do not belong together.
    #[error(
        "the profile store (`state` in the data directory) belongs to journal {store}, and the \
         journal there is {journal}; {REMEDY}"
    )]
    OtherJournal {
        /// The store's.
        store: String,
        /// The one that is there.
        journal: String,
    },
    /// The checkpoint's cursor.
    #[error("cannot open the checkpoint's cursor: {0}")]
    Cursor(#[from] CursorError),
    /// The rules of the catalog in force.
    #[error("the catalog in force does not compile: {0}")]
    Rules(#[from] RulesError),
    /// The rule engine itself.
    #[error(transparent)]
    Engine(#[from] RuleError),
}

/// What to do about records that cannot be replayed.
const fn way_on(error: &ReadError) -> &'static str {
    match error {
        ReadError::Retired { .. } => {
            "put the missing segment file back. Where a repair cut it off, go on without its records: \
             tidegate journal cursors drop checkpoint --force; with [kafka], the same for kafka"
        }
        _ => {
            "put the missing or damaged segment file back, or start with an empty data_dir: profiles \
             and sessions begin anew then"
        }
    }
}

/// How far the replay is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Records replayed.
    pub done: u64,
    /// Records to replay in all.
    pub total: u64,
}

/// What a core is made of.
pub struct Parts {
    /// The journal, recovered.
    pub journal: Journal,
    /// The database for profiles.
    pub database: Database,
    /// Bounds.
    pub settings: CoreSettings,
    /// Clocks.
    pub clock: Arc<dyn Clock>,
    /// Random ids.
    pub mint: Mint,
    /// The catalog in force.
    pub catalog: Catalog,
    /// Its generation.
    pub generation: u32,
    /// Its rules, where there was time to compile them before; ignored where they are another
    /// generation's.
    pub compiled: Option<Compiled>,
    /// Where figures go.
    pub metrics: CoreMetrics,
    /// Where records go that do not parse.
    pub unreadable: Unreadable,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// Fewest records between two reports of progress.
const REPORT_RECORDS_MIN: u64 = 50_000;
/// Most reports of one replay. The log shows no more lines of one text a minute
/// (`telemetry.log_repeats_max`), and the last report is the end.
const REPORTS_MAX: u64 = 20;

/// Records between two reports of a replay of `total` records.
fn report_every(total: u64) -> u64 {
    total.div_ceil(REPORTS_MAX).max(REPORT_RECORDS_MIN)
}

impl Core {
    /// Opens the store and replays the journal's tail; `report` is called now and then.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(parts: Parts, report: impl FnMut(Progress)) -> Result<Self, OpenError> {
        let Parts {
            journal,
            database,
            settings,
            clock,
            mint,
            catalog,
            generation,
            compiled,
            metrics,
            unreadable,
        } = parts;
        clock.go_on_from(journal.decided_at());
        let store = Store::open(database)?;
        check_holds(&store, &journal)?;
        store.raise_format()?;
        let hash_key = store.hash_key(mint().to_le_bytes())?;
        let reached = store.reached()?;
        let fits = |compiled: &Compiled| compiled.generation() == generation;
        let compiled = match compiled.filter(fits) {
            Some(compiled) => compiled,
            None => Compiled::new(&catalog, generation, settings.evaluators)?,
        };
        let cursor = journal.cursor(CURSOR, CursorClass::Required)?;
        let core = Inner {
            checkpointer: Checkpointer::new(cursor, reached, &settings),
            catch_up: CatchUp::default(),
            decider: Decider::new(compiled, settings.evaluators),
            state: State {
                writer: Writer::new(journal, clock, mint, &settings),
                profiles: Profiles::new(store, hash_key, settings.live_max),
                dedup: Dedup::new(settings.dedup_entries_max),
                dedup_keys: DedupKeys(hash_key),
                schedule: Schedule::default(),
                behind: Behind::default(),
                settings,
                metrics,
            },
        };
        let replay = Replay {
            state: &core.state,
            checkpointer: &core.checkpointer,
        };
        replay.run(&unreadable, report)?;
        Ok(Self(Arc::new(core)))
    }
}

/// A replay of the journal's tail.
#[derive(Clone, Copy)]
struct Replay<'a> {
    state: &'a State,
    checkpointer: &'a Checkpointer,
}

impl Replay<'_> {
    fn run(
        self,
        unreadable: &Unreadable,
        mut report: impl FnMut(Progress),
    ) -> Result<(), OpenError> {
        let from = self.checkpointer.position();
        self.state
            .profiles
            .store()?
            .dedup(|key, offset| self.state.dedup.remember(key, offset, false))?;
        let durable = self.state.writer.journal().durable();
        let total = durable.saturating_sub(from);
        let every = report_every(total);
        let mut reader = self.state.writer.journal().reader(from)?;
        while let Some(frame) = reader.next_below(durable)? {
            match RecordView::read(frame.payload) {
                Ok(view) => self.replay_readable(&view.head, frame.offset)?,
                Err(error) => {
                    let record = (frame.offset, frame.payload);
                    pass_over(unreadable, self.state.writer.journal(), record, error)?;
                }
            }
            if self.state.profiles.room().is_pressed() {
                self.checkpointer.evict(self.state.work())?;
            }
            let done = frame.offset + 1 - from;
            if done.is_multiple_of(every) || done == total {
                report(Progress { done, total });
            }
        }
        self.state
            .profiles
            .each(|_, shared| self.state.schedule.add(&mut shared.lock()));
        Ok(())
    }

    /// A profile whose row does not parse keeps it, and stops no other.
    fn replay_readable(&self, record: &Record<'_>, offset: u64) -> Result<(), StoreError> {
        let replayed = self.replay_record(record, offset);
        if let Err(error @ (StoreError::Row | StoreError::Aliases(_))) = &replayed {
            self.state.metrics.store_errors.inc();
            tracing::error!(%error, offset, profile = ?record.profile, "a profile is not brought up to date");
            return Ok(());
        }
        replayed
    }

    fn replay_record(&self, record: &Record<'_>, offset: u64) -> Result<(), StoreError> {
        if let Fold::Event(event) = &record.fold
            && let Some(key) = event.dedup
        {
            self.state.dedup.remember(key, offset, true);
        }
        let Some(id) = record.profile else {
            return Ok(());
        };
        if let Fold::ProfileMerged(merged) = &record.fold {
            return self.replay_merge(record, merged, offset);
        }
        self.with_replayed(id, offset, |live| {
            fold::record(&mut live.profile, None, record, offset);
        })?;
        let profiles = &self.state.profiles;
        let point = |namespace, value| profiles.point(profiles.key(namespace, value), id);
        match &record.fold {
            Fold::Event(event) => event.edges.iter().for_each(|(space, id)| point(*space, id)),
            Fold::DeviceStart(start) => point(Namespace::AnonymousId, start.anonymous_id),
            _ => {}
        }
        Ok(())
    }

    /// Each side by itself: either may be in the store already.
    fn replay_merge(
        &self,
        record: &Record<'_>,
        merged: &ProfileMerged,
        offset: u64,
    ) -> Result<(), StoreError> {
        let loser = self.state.profiles.get(merged.loser)?;
        // Whoever merged it had its state: it stands in the store or was replayed just before.
        let loser = match loser {
            Some(loser) => loser,
            None => self.state.profiles.create(merged.loser)?,
        };
        let before = loser.lock().profile.clone();
        self.with_replayed(merged.winner, offset, |live| {
            fold::record(&mut live.profile, Some(&before), record, offset);
        })?;
        self.with_replayed(merged.loser, offset, |live| {
            merge::retire(&mut live.profile, merged.winner, offset);
        })?;
        for identifier in before.identifiers.iter() {
            let key = self
                .state
                .profiles
                .key(identifier.namespace, &identifier.value);
            self.state.profiles.point(key, merged.winner);
        }
        Ok(())
    }

    /// Runs `change` unless the profile's row already holds the record at `offset`.
    fn with_replayed(
        &self,
        id: ProfileId,
        offset: u64,
        change: impl FnOnce(&mut Live),
    ) -> Result<(), StoreError> {
        let shared = match self.state.profiles.get(id)? {
            Some(shared) => shared,
            None => self.state.profiles.create(id)?,
        };
        let mut live = shared.lock();
        if live.profile.applied_offset > offset {
            return Ok(());
        }
        self.state.behind.touch(&mut live, offset);
        change(&mut live);
        live.scheduled = OptionalTime::NONE;
        Ok(())
    }
}

/// Sets a record aside. Where the disk has no room for that, the start goes on all the same: the
/// other consumers keep the record until it has.
fn pass_over(
    unreadable: &Unreadable,
    journal: &Journal,
    record: (u64, &[u8]),
    error: RecordError,
) -> Result<(), Held> {
    match unreadable.set_aside(Consumer::Recovery, journal, record, error) {
        Err(error @ Held::NotKept { .. }) => {
            tracing::error!(%error, "passed over in the replay");
            Ok(())
        }
        set_aside => set_aside,
    }
}

/// Looks whether store and journal are of the same moment. Before the checkpoint's cursor is made:
/// one that was dropped begins anew, with what there is.
fn check_holds(store: &Store, journal: &Journal) -> Result<(), OpenError> {
    let cursors = journal.cursors();
    let saved = cursors.iter().find(|cursor| cursor.name == CURSOR);
    let saved = saved.map_or(0, |cursor| cursor.position);
    let (holds, of) = match store.holds()? {
        Some(Holds { journal, upto }) => (upto, journal),
        None if store.is_fresh() => (0, journal.id().to_owned()),
        // Of release 0.1.0, or without a checkpoint yet.
        None => return Ok(()),
    };
    let durable = journal.durable();
    if of != journal.id() {
        let journal = journal.id().to_owned();
        return Err(OpenError::OtherJournal { store: of, journal });
    }
    if holds > durable {
        return Err(OpenError::StoreAhead { holds, durable });
    }
    if holds < saved {
        return Err(OpenError::StoreBehind { holds, saved });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_of_any_length_is_reported_at_most_twenty_times() {
        for total in [1, 50_000, 999_999, 1_000_001, 123_456_789] {
            let every = report_every(total);
            assert!(every >= REPORT_RECORDS_MIN);
            assert!(total.div_ceil(every) <= REPORTS_MAX, "{total}");
        }
    }
}
