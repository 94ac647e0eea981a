//! From disk to live state: checkpoint plus tail is exactly the state before the crash.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use fjall::Database;
use parking_lot::Mutex;
use tidegate_event::ProfileId;
use tidegate_event::record::{Fold, Namespace, ProfileMerged, Record, RecordError, RecordView};
use tidegate_journal::{CursorClass, CursorError, Journal, ReadError};
use tidegate_rules_wasm::{Engine, Limits, RuleError};

use super::catch_up::CatchUp;
use super::checkpoint::{CURSOR, Writing};
use super::dedup::Dedup;
use super::metrics::CoreMetrics;
use super::reached::Reached;
use super::rules::{Rules, RulesError};
use super::timers::Timers;
use super::{Core, CoreSettings, Inner, Mint};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::profile::live::{CLEAN, Live, Profiles};
use crate::profile::store::{Store, StoreError};
use crate::profile::{OptionalTime, fold, merge};

/// Why the state could not be brought back.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal's tail.
    #[error(
        "cannot replay the journal: {0}; put the missing or damaged segment file back, or start with an empty data_dir: profiles and sessions begin anew then"
    )]
    Read(#[from] ReadError),
    /// A record of it.
    #[error("cannot replay the journal record at offset {offset}: {error}")]
    Record {
        /// Its offset.
        offset: u64,
        /// What is wrong with it.
        error: RecordError,
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
}

/// Rules compiled before the state is there.
#[derive(Debug)]
pub struct Compiled {
    engine: Engine,
    rules: Rules,
}

impl Compiled {
    /// Compiles the rules of `catalog` for so many evaluators.
    ///
    /// # Errors
    /// [`OpenError::Rules`], [`OpenError::Engine`]
    pub fn new(catalog: &Catalog, generation: u32, evaluators: usize) -> Result<Self, OpenError> {
        let engine = Engine::new(Limits::default())?;
        let rules = Rules::load(&engine, catalog, generation, evaluators)?;
        Ok(Self::of(engine, rules))
    }

    /// Of rules that were loaded with this engine.
    pub(crate) const fn of(engine: Engine, rules: Rules) -> Self {
        Self { engine, rules }
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// Records between two reports of progress.
const REPORT_EVERY: u64 = 50_000;

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
        } = parts;
        clock.go_on_from(journal.decided_at());
        let store = Store::open(database)?;
        let hash_key = store.hash_key(mint().to_le_bytes())?;
        let reached = Reached::new(store.reached()?);
        let fits = |compiled: &Compiled| compiled.rules.generation == generation;
        let Compiled { engine, rules } = match compiled.filter(fits) {
            Some(compiled) => compiled,
            None => Compiled::new(&catalog, generation, settings.evaluators)?,
        };
        let cursor = journal.cursor(CURSOR, CursorClass::Required)?;
        let core = Self(Arc::new(Inner {
            profiles: Profiles::new(store, hash_key, settings.live_max),
            dedup: Dedup::new(settings.dedup_entries_max),
            timers: Timers::default(),
            ahead: Mutex::default(),
            catch_up: Mutex::new(CatchUp::default()),
            rules: ArcSwap::from_pointee(rules),
            engine,
            dirty: Mutex::new(BTreeSet::new()),
            ended: Mutex::new(Vec::new()),
            reached: Mutex::new(reached),
            stored: Mutex::default(),
            writing: Mutex::new(Writing::default()),
            cursor: Mutex::new(cursor),
            settings,
            clock,
            mint,
            hash_key,
            acked: OnceLock::new(),
            metrics,
            journal,
        }));
        core.replay(report)?;
        Ok(core)
    }

    fn replay(&self, mut report: impl FnMut(Progress)) -> Result<(), OpenError> {
        let from = self.0.cursor.lock().position();
        self.0
            .profiles
            .store()?
            .dedup(|key, offset| self.0.dedup.remember(key, offset, false))?;
        let durable = self.0.journal.durable();
        let total = durable.saturating_sub(from);
        let mut reader = self.0.journal.reader(from)?;
        while let Some(frame) = reader.next_below(durable)? {
            let view = RecordView::read(frame.payload).map_err(|error| OpenError::Record {
                offset: frame.offset,
                error,
            })?;
            self.replay_record(&view.head, frame.offset)?;
            if self.0.profiles.room().is_pressed() {
                self.evict(&mut self.0.writing.lock())?;
            }
            let done = frame.offset + 1 - from;
            if done.is_multiple_of(REPORT_EVERY) || done == total {
                report(Progress { done, total });
            }
        }
        self.0
            .profiles
            .each(|_, shared| self.schedule(&mut shared.lock()));
        Ok(())
    }

    fn replay_record(&self, record: &Record<'_>, offset: u64) -> Result<(), StoreError> {
        if let Fold::Event(event) = &record.fold
            && let Some(key) = event.dedup
        {
            self.0.dedup.remember(key, offset, true);
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
        let profiles = &self.0.profiles;
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
        let loser = self.0.profiles.get(merged.loser)?;
        // Whoever merged it had its state: it stands in the store or was replayed just before.
        let loser = match loser {
            Some(loser) => loser,
            None => self.0.profiles.create(merged.loser)?,
        };
        let before = loser.lock().profile.clone();
        self.with_replayed(merged.winner, offset, |live| {
            fold::record(&mut live.profile, Some(&before), record, offset);
        })?;
        self.with_replayed(merged.loser, offset, |live| {
            merge::retire(&mut live.profile, merged.winner, offset);
        })?;
        for identifier in before.identifiers.iter() {
            let key = self.0.profiles.key(identifier.namespace, &identifier.value);
            self.0.profiles.point(key, merged.winner);
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
        let shared = match self.0.profiles.get(id)? {
            Some(shared) => shared,
            None => self.0.profiles.create(id)?,
        };
        let mut live = shared.lock();
        if live.profile.applied_offset > offset {
            return Ok(());
        }
        if live.first_dirty == CLEAN {
            live.first_dirty = offset;
            self.0.dirty.lock().insert((offset, id));
        }
        change(&mut live);
        live.scheduled = OptionalTime::NONE;
        Ok(())
    }
}
