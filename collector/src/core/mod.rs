//! Steps 5 to 7 and the state behind them: one hit becomes a session, a decision and a durable
//! record. Parsing, consent and enrichment happened before; replies and sinks come after.

mod decider;
pub mod dedup;
mod refused;
mod resolve;
mod step;
pub mod accept;
pub mod timers;
mod schedule;
mod fire;
mod catch_up;
pub mod checkpoint;
mod recovery;
pub mod metrics;
mod figures;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fjall::Database;
use tidegate_event::record::{CatalogFold, Fold, Namespace, Record};
use tidegate_event::{Purposes, Timestamp};
use tidegate_journal::{Journal, Purpose, Reservation};
use tokio::sync::watch;

pub use accept::Accepted;
pub use catch_up::CatchUpPage;
pub use decider::Compiled;
pub use figures::StateFigures;
pub use recovery::{OpenError, Parts, Progress};
pub use refused::{Newcomers, Refused, Unlimited};

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::decide::{Rules, RulesError};
use crate::pipeline::record_json;
use crate::profile::Profile;
use crate::profile::census::Sum;
use crate::profile::live::Profiles;
use crate::profile::store::{Store, StoreError};
use catch_up::{CatchUp, Look};
use checkpoint::{Behind, Checkpointer, Extent, Work};
use decider::Decider;
use dedup::Dedup;
use metrics::CoreMetrics;
use schedule::Schedule;

/// Room for the record of a catalog change, bytes.
const CATALOG_BYTES: usize = 1_024;

/// Bounds of the core, from the settings.
#[derive(Clone, Debug)]
pub struct CoreSettings {
    /// Bytes of one journal record.
    pub record_bytes_max: usize,
    /// Bytes of one profile's traits.
    pub traits_bytes_max: usize,
    /// Identifiers of one profile.
    pub identifiers_max: usize,
    /// Merges into one profile within an hour.
    pub merges_per_hour_max: u32,
    /// Profiles in memory.
    pub live_max: usize,
    /// Stored profiles go when they were not seen for this long, milliseconds.
    pub retention_ms: u64,
    /// Bytes that stored profiles may take; the oldest go.
    pub disk_max: u64,
    /// How far a profile's row may be behind, in records.
    pub lag_records: u64,
    /// Disk budget of the journal; the checkpoint hurries where it alone may hold half of it.
    pub disk_budget: u64,
    /// Deduplication window.
    pub dedup_window_ms: u64,
    /// Deduplication keys.
    pub dedup_entries_max: usize,
    /// How long `ack = "kafka"` waits.
    pub ack_timeout_ms: u64,
    /// Evaluators: one for each worker thread.
    pub evaluators: usize,
}

/// Where random ids come from; a simulation passes a seeded one.
pub type Mint = Arc<dyn Fn() -> u128 + Send + Sync>;

/// The live state with its journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Core(Arc<Inner>);

struct Inner {
    journal: Journal,
    profiles: Profiles,
    dedup: Dedup,
    schedule: Schedule,
    behind: Behind,
    checkpointer: Checkpointer,
    catch_up: CatchUp,
    decider: Decider,
    settings: CoreSettings,
    clock: Arc<dyn Clock>,
    mint: Mint,
    hash_key: [u8; 16],
    acked: OnceLock<watch::Receiver<u64>>,
    metrics: CoreMetrics,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

/// Sizes and positions of the live state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Profiles in memory.
    pub profiles_live: u64,
    /// Profiles whose row is behind.
    pub profiles_dirty: u64,
    /// Profiles at rest, and their bytes.
    pub profiles_stored: Sum,
    /// Timers waiting.
    pub timers: u64,
    /// How late the earliest one is, in memory or stored, milliseconds.
    pub timers_overdue_ms: u64,
    /// Deduplication keys remembered.
    pub dedup_entries: u64,
    /// Offset of the oldest of them.
    pub dedup_oldest_offset: u64,
    /// Everything below is in the store.
    pub checkpoint_offset: u64,
}

/// Whose segments are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// By cookie id or anonymousId.
    Anonymous(&'a str),
    /// By user id.
    User(&'a str),
}

/// Answer of [`Core::segments`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisitorSegments {
    /// Names, in catalog order.
    pub segments: Vec<Arc<str>>,
    /// Offset up to which they are folded.
    pub as_of: u64,
}

impl Core {
    /// Resolves when `offset` is durable (and acknowledged by Kafka, where `ack` says so).
    ///
    /// # Errors
    /// [`Refused::Stopped`] where it never will be; [`Refused::Unacknowledged`] where Kafka did
    /// not answer in time.
    pub async fn durable(&self, offset: u64) -> Result<(), Refused> {
        self.0
            .journal
            .wait_durable(offset)
            .await
            .map_err(|_| Refused::Stopped)?;
        let Some(acked) = self.0.acked.get() else {
            return Ok(());
        };
        let mut acked = acked.clone();
        let wait = Duration::from_millis(self.0.settings.ack_timeout_ms);
        match tokio::time::timeout(wait, acked.wait_for(|next| *next > offset)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Refused::Stopped),
            Err(_) => {
                self.0.metrics.ack_timeouts.inc();
                Err(Refused::Unacknowledged { retry_after_s: 5 })
            }
        }
    }

    /// From now on [`Core::durable`] also waits for Kafka: `acked` is the offset below which all
    /// is acknowledged.
    pub fn acknowledge_by(&self, acked: watch::Receiver<u64>) {
        // Set once, when the gateway is wired; a second call would change nothing.
        let _ = self.0.acked.set(acked);
    }

    /// The current segments of one visitor; empty for an unknown one. What they rest on is durable
    /// when this resolves.
    ///
    /// # Errors
    /// [`Refused::Store`], [`Refused::Stopped`]
    pub async fn segments(&self, lookup: Lookup<'_>) -> Result<VisitorSegments, Refused> {
        let (namespace, id) = match lookup {
            Lookup::Anonymous(id) => (Namespace::AnonymousId, id),
            Lookup::User(id) => (Namespace::UserId, id),
        };
        let found = self
            .members(namespace, id)
            .map_err(|error| self.0.metrics.refuse(&error))?;
        let Some(found) = found else {
            let as_of = self.0.journal.durable().saturating_sub(1);
            return Ok(VisitorSegments {
                segments: Vec::new(),
                as_of,
            });
        };
        self.0
            .journal
            .wait_durable(found.as_of)
            .await
            .map_err(|_| Refused::Stopped)?;
        Ok(found)
    }

    fn members(
        &self,
        namespace: Namespace,
        id: &str,
    ) -> Result<Option<VisitorSegments>, StoreError> {
        let profiles = &self.0.profiles;
        let Some(profile) = profiles.resolve(profiles.key(namespace, id), namespace, id)? else {
            return Ok(None);
        };
        let Some(shared) = profiles.canonical(profile)? else {
            return Ok(None);
        };
        let mut live = shared.lock();
        // It may just have been loaded, and what is live is no longer looked for at rest.
        self.0.schedule.add(&mut live);
        let rules = self.0.decider.rules();
        let segments = rules
            .segments
            .iter()
            .filter(|segment| live.profile.memberships.get(segment.id).member)
            .map(|segment| Arc::clone(&segment.name))
            .collect();
        let as_of = live.profile.applied_offset.saturating_sub(1);
        Ok(Some(VisitorSegments { segments, as_of }))
    }

    /// Compiles the rules of `catalog`; nothing changes yet. Takes milliseconds to seconds: not
    /// for a worker thread.
    ///
    /// # Errors
    /// [`RulesError`]: the catalog is refused, the rules in force stay.
    pub fn prepare(&self, catalog: &Catalog, generation: u32) -> Result<Rules, RulesError> {
        self.0.decider.prepare(catalog, generation)
    }

    /// Room for the record of a catalog change. A journal may be full for hours: the caller bounds
    /// the wait.
    ///
    /// # Errors
    /// [`Refused::Stopped`]
    pub async fn catalog_room(&self) -> Result<Reservation, Refused> {
        let journal = &self.0.journal;
        let room = journal.reserve_wait_for(Purpose::Control, CATALOG_BYTES, 1);
        room.await.map_err(|_ended| Refused::Stopped)
    }

    /// Journals the catalog change and puts its rules in force; resolves when it is durable.
    ///
    /// # Errors
    /// [`Refused::Stopped`]
    pub async fn switch(
        &self,
        rules: Rules,
        digest: &str,
        room: Reservation,
    ) -> Result<u64, Refused> {
        let offset = self.write_catalog(rules.generation, digest, room);
        self.0.decider.put_in_force(rules);
        self.0
            .journal
            .wait_durable(offset)
            .await
            .map_err(|_| Refused::Stopped)?;
        Ok(offset)
    }

    /// Journals that the rules the core was opened with are those of a new catalog. The caller bounds
    /// the wait for room.
    ///
    /// # Errors
    /// [`Refused::Stopped`]
    pub async fn record_catalog(&self, generation: u32, digest: &str) -> Result<(), Refused> {
        let room = self.catalog_room().await?;
        let offset = self.write_catalog(generation, digest, room);
        self.0
            .journal
            .wait_durable(offset)
            .await
            .map_err(|_| Refused::Stopped)
    }

    fn write_catalog(&self, generation: u32, digest: &str, mut room: Reservation) -> u64 {
        let ticket = room.ticket(self.0.clock.now());
        let offset = ticket.offset();
        let message_id = uuid::Uuid::from_u128(self.mint()).to_string();
        let record = Record {
            generation,
            decided_at: ticket.decided_at(),
            profile: None,
            anonymous_id: None,
            user_id: None,
            source: "",
            kind: "system",
            event: "catalog",
            message_id: &message_id,
            event_time: ticket.decided_at(),
            purposes: Purposes::NONE,
            transitions: Vec::new(),
            fold: Fold::Catalog(CatalogFold { digest }),
        };
        let payload = record
            .write(Vec::with_capacity(512), |out| {
                record_json::write_system(out, &record);
            })
            .expect("a catalog record is small");
        ticket.fill(payload);
        offset
    }

    /// The gateway's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Tells the journal the time: it retires segments by age and reads no clock.
    pub fn observe_time(&self) {
        self.0.journal.observe_time(self.0.clock.now());
    }

    /// False where the store's database takes no writes any more, or is closed.
    #[must_use]
    pub fn store_takes_writes(&self) -> bool {
        let store = self.0.profiles.store();
        store.is_ok_and(|store| store.takes_writes())
    }

    /// Lets go of the store, or goes on with it in a database opened again. What memory knows to be
    /// unwritten stays so.
    ///
    /// # Errors
    /// [`StoreError`]; without a store then.
    pub fn exchange_store(&self, database: Option<Database>) -> Result<(), StoreError> {
        self.0.profiles.exchange_store(None);
        let store = database.map(Store::open).transpose()?;
        self.0.profiles.exchange_store(store);
        Ok(())
    }

    /// Resolves when the memory for profiles fills: [`Core::checkpoint`] should run now.
    pub async fn memory_pressed(&self) {
        self.0.profiles.room().pressed().await;
    }

    /// Writes what is to be written and moves the checkpoint's cursor; says how many profiles.
    ///
    /// # Errors
    /// [`StoreError`]; the cursor stays.
    pub fn checkpoint(&self, extent: Extent) -> Result<usize, StoreError> {
        self.0.checkpointer.pass(self.work(), extent)
    }

    /// A mutant for the simulation: the checkpoint's cursor passes profiles that are not written.
    #[cfg(test)]
    pub(crate) fn run_the_checkpoint_ahead(&self) {
        self.0.checkpointer.run_ahead(&self.0.journal);
    }

    fn work(&self) -> Work<'_> {
        let core = &*self.0;
        Work {
            journal: &core.journal,
            profiles: &core.profiles,
            dedup: &core.dedup,
            behind: &core.behind,
            clock: &*core.clock,
            metrics: &core.metrics,
        }
    }

    /// True where stored timers may be due that [`Core::look_ahead`] has yet to read.
    #[must_use]
    pub fn wants_look_ahead(&self) -> bool {
        self.0.schedule.wants_look_ahead(self.0.clock.now())
    }

    /// Takes a page of stored profiles that are due next into the timers.
    ///
    /// # Errors
    /// [`Refused::Store`]
    pub fn look_ahead(&self) -> Result<(), Refused> {
        let core = &*self.0;
        let read = core
            .schedule
            .look_ahead(&core.profiles, &*core.clock, &core.metrics);
        read.map_err(|error| core.metrics.refuse(&error))
    }

    /// Looks at up to `max` further profiles. Reads the store: not for a worker thread.
    ///
    /// # Errors
    /// [`StoreError`]: the same page comes again.
    pub fn catch_up(&self, max: usize) -> Result<CatchUpPage, StoreError> {
        let core = &*self.0;
        let look = Look {
            rules: &core.decider.rules(),
            profiles: &core.profiles,
            journal: &core.journal,
            clock: &*core.clock,
            traps: &core.metrics.rule_traps,
        };
        core.catch_up.page(look, max)
    }

    /// Resolves when other rules came into force since the last call.
    pub async fn catalog_switched(&self) {
        self.0.decider.switched().await;
    }

    /// A profile on which an evaluation now would change something.
    #[cfg(test)]
    pub(crate) fn unevaluated(&self) -> Result<Option<tidegate_event::ProfileId>, StoreError> {
        let (rules, now) = (self.0.decider.rules(), self.0.clock.now());
        let traps = &self.0.metrics.rule_traps;
        let mut found = None;
        self.each_profile(|profile| {
            if found.is_none() && rules.would_change(profile, now, traps) {
                found = Some(profile.id);
            }
        })?;
        Ok(found)
    }

    /// Generation of the rules in force.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.0.decider.rules().generation
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// Figures that are read rather than counted.
    #[must_use]
    pub fn gauges(&self, now: Timestamp) -> Gauges {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let overdue_ms = self.0.schedule.overdue_ms(now);
        Gauges {
            profiles_live: count(self.0.profiles.len()),
            profiles_dirty: count(self.0.behind.len()),
            profiles_stored: self.0.checkpointer.stored(),
            timers: count(self.0.schedule.timers.len()),
            timers_overdue_ms: u64::try_from(overdue_ms).unwrap_or(0),
            dedup_entries: count(self.0.dedup.len()),
            dedup_oldest_offset: self.0.dedup.oldest().unwrap_or(0),
            checkpoint_offset: self.0.checkpointer.position(),
        }
    }

    /// Reads every profile, in memory and at rest: for tests and `doctor`, not for a busy gateway.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn each_profile(&self, mut each: impl FnMut(&Profile)) -> Result<(), StoreError> {
        let mut live = std::collections::HashSet::new();
        self.0.profiles.each(|id, shared| {
            live.insert(id);
            each(&shared.lock().profile);
        });
        self.0.profiles.store()?.profiles(|profile| {
            if !live.contains(&profile.id) {
                each(&profile);
            }
        })
    }

    fn mint(&self) -> u128 {
        (self.0.mint)()
    }
}
