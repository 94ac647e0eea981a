//! Steps 5 to 7 and the state behind them: one hit becomes a session, a decision and a durable
//! record. Parsing, consent and enrichment happened before; replies and sinks come after.

mod settings;
pub mod metrics;
mod refused;
mod writer;
mod decider;
mod dedup_key;
pub mod dedup;
pub mod timers;
mod schedule;
mod state;
mod resolve;
mod step;
pub mod accept;
mod fire;
mod catch_up;
mod lookup;
mod gauges;
mod figures;
pub mod checkpoint;
mod recovery;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use fjall::Database;
use tidegate_event::{Hit, ProfileId, Timestamp};
use tidegate_journal::{Full, Journal, Reservation};
use tokio::sync::watch;

pub use accept::Accepted;
pub use catch_up::CatchUpPage;
pub use decider::Compiled;
pub use figures::StateFigures;
pub use gauges::Gauges;
pub use lookup::{Lookup, VisitorSegments};
pub use recovery::{OpenError, Parts, Progress};
pub use refused::{Newcomers, Refused, Unlimited};
pub use settings::CoreSettings;

use crate::catalog::{Catalog, Source};
use crate::decide::{Rules, RulesError};
use crate::profile::Profile;
use crate::profile::store::{Store, StoreError};
use catch_up::{CatchUp, Look};
use checkpoint::{Checkpointer, Extent};
use decider::Decider;
use fire::Fire;
use state::State;
use writer::timer_bytes;

/// Where random ids come from; a simulation passes a seeded one.
pub type Mint = Arc<dyn Fn() -> u128 + Send + Sync>;

/// The live state with its journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Core(Arc<Inner>);

struct Inner {
    state: State,
    decider: Decider,
    checkpointer: Checkpointer,
    catch_up: CatchUp,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

impl Core {
    /// Resolves when `offset` is durable (and acknowledged by Kafka, where `ack` says so).
    ///
    /// # Errors
    /// [`Refused::Stopped`] where it never will be; [`Refused::Unacknowledged`] where Kafka did
    /// not answer in time.
    pub async fn durable(&self, offset: u64) -> Result<(), Refused> {
        let state = &self.0.state;
        state.writer.durable(offset).await?;
        state.writer.acknowledged(offset, &state.metrics).await
    }

    /// From now on [`Core::durable`] also waits for Kafka: `acked` is the offset below which all
    /// is acknowledged.
    pub fn acknowledge_by(&self, acked: watch::Receiver<u64>) {
        self.0.state.writer.acknowledge_by(acked);
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
        self.0.state.writer.catalog_room().await
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
        let writer = &self.0.state.writer;
        let offset = writer.write_catalog(rules.generation, digest, room);
        self.0.decider.put_in_force(rules);
        writer.durable(offset).await?;
        Ok(offset)
    }

    /// Journals that the rules the core was opened with are those of a new catalog. The caller bounds
    /// the wait for room.
    ///
    /// # Errors
    /// [`Refused::Stopped`]
    pub async fn record_catalog(&self, generation: u32, digest: &str) -> Result<(), Refused> {
        let writer = &self.0.state.writer;
        let room = writer.catalog_room().await?;
        let offset = writer.write_catalog(generation, digest, room);
        writer.durable(offset).await
    }

    /// The gateway's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.state.writer.now()
    }

    /// Tells the journal the time: it retires segments by age and reads no clock.
    pub fn observe_time(&self) {
        self.journal().observe_time(self.now());
    }

    /// False where the store's database takes no writes any more, or is closed.
    #[must_use]
    pub fn store_takes_writes(&self) -> bool {
        let store = self.0.state.profiles.store();
        store.is_ok_and(|store| store.takes_writes())
    }

    /// Lets go of the store, or goes on with it in a database opened again. What memory knows to be
    /// unwritten stays so.
    ///
    /// # Errors
    /// [`StoreError`]; without a store then.
    pub fn exchange_store(&self, database: Option<Database>) -> Result<(), StoreError> {
        self.0.state.profiles.exchange_store(None);
        let store = database.map(Store::open).transpose()?;
        self.0.state.profiles.exchange_store(store);
        Ok(())
    }

    /// Resolves when the memory for profiles fills: [`Core::checkpoint`] should run now.
    pub async fn memory_pressed(&self) {
        self.0.state.profiles.room().pressed().await;
    }

    /// Writes what is to be written and moves the checkpoint's cursor; says how many profiles.
    ///
    /// # Errors
    /// [`StoreError`]; the cursor stays.
    pub fn checkpoint(&self, extent: Extent) -> Result<usize, StoreError> {
        self.0.checkpointer.pass(self.0.state.work(), extent)
    }

    /// A mutant for the simulation: the checkpoint's cursor passes profiles that are not written.
    #[cfg(test)]
    pub(crate) fn run_the_checkpoint_ahead(&self) {
        self.0.checkpointer.run_ahead(self.journal());
    }

    /// True where stored timers may be due that [`Core::look_ahead`] has yet to read.
    #[must_use]
    pub fn wants_look_ahead(&self) -> bool {
        self.0
            .state
            .schedule
            .wants_look_ahead(self.0.state.writer.now())
    }

    /// Takes a page of stored profiles that are due next into the timers.
    ///
    /// # Errors
    /// [`Refused::Store`]
    pub fn look_ahead(&self) -> Result<(), Refused> {
        let State {
            writer,
            profiles,
            schedule,
            metrics,
            ..
        } = &self.0.state;
        let read = schedule.look_ahead(profiles, writer.clock(), metrics);
        read.map_err(|error| metrics.refuse(&error))
    }

    /// Asks the journal for the room of a small hit, and gives it back.
    ///
    /// # Errors
    /// [`Full`]: such a hit would be refused now.
    pub fn room(&self) -> Result<(), Full> {
        self.0.state.writer.room(&self.0.decider.rules().segments)
    }

    /// Resolves when the journal has space for a timer's record, or takes none any more.
    pub async fn timer_space(&self) {
        let bytes = timer_bytes(&self.0.decider.rules().segments);
        self.0.state.writer.timer_space(bytes).await;
    }

    /// Fires up to `max` profiles' timers that are due now; says how many were looked at. Stored
    /// ones are fired once [`Core::look_ahead`] has read them.
    ///
    /// # Errors
    /// [`Refused::Full`], [`Refused::Stopped`], [`Refused::Store`], [`Refused::ProfilesFull`]; what was
    /// not fired stays due.
    pub fn fire_due(&self, max: usize) -> Result<usize, Refused> {
        self.fire().due(max)
    }

    /// Evaluates a profile at this moment and writes its `wake_up` record. One whose own rows cannot be
    /// read is logged and passed over.
    ///
    /// # Errors
    /// [`Refused::Full`], [`Refused::Stopped`], [`Refused::Store`], [`Refused::ProfilesFull`]; it is
    /// still to be evaluated.
    pub fn evaluate_now(&self, id: ProfileId) -> Result<(), Refused> {
        self.fire().evaluate_now(id)
    }

    fn fire(&self) -> Fire<'_> {
        Fire {
            state: &self.0.state,
            decider: &self.0.decider,
        }
    }

    /// Looks at up to `max` further profiles. Reads the store: not for a worker thread.
    ///
    /// # Errors
    /// [`StoreError`]: the same page comes again.
    pub fn catch_up(&self, max: usize) -> Result<CatchUpPage, StoreError> {
        let state = &self.0.state;
        let look = Look {
            rules: &self.0.decider.rules(),
            profiles: &state.profiles,
            journal: state.writer.journal(),
            clock: state.writer.clock(),
            traps: &state.metrics.rule_traps,
        };
        self.0.catch_up.page(look, max)
    }

    /// Resolves when other rules came into force since the last call.
    pub async fn catalog_switched(&self) {
        self.0.decider.switched().await;
    }

    /// A profile on which an evaluation now would change something.
    #[cfg(test)]
    pub(crate) fn unevaluated(&self) -> Result<Option<ProfileId>, StoreError> {
        let (rules, now) = (self.0.decider.rules(), self.0.state.writer.now());
        let traps = &self.0.state.metrics.rule_traps;
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
        self.0.state.writer.journal()
    }

    /// Reads every profile, in memory and at rest: for tests and `doctor`, not for a busy gateway.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn each_profile(&self, mut each: impl FnMut(&Profile)) -> Result<(), StoreError> {
        let mut live = std::collections::HashSet::new();
        self.0.state.profiles.each(|id, shared| {
            live.insert(id);
            each(&shared.lock().profile);
        });
        self.0.state.profiles.store()?.profiles(|profile| {
            if !live.contains(&profile.id) {
                each(&profile);
            }
        })
    }

    /// What makes a copy of this hit the same event.
    fn dedup_key(&self, source: &Source, hit: &Hit<'_>) -> Option<u128> {
        self.0.state.dedup_keys.of(source, hit)
    }
}
