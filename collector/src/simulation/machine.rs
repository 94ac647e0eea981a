//! What outlives the process: the simulated disk, the store, the sinks, and the clocks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use fjall::Database;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tidegate_event::Timestamp;
use tidegate_journal::Journal;
use tidegate_journal::storage::simulated::SimulatedStorage;
use tidegate_rules_wasm::{Engine, Limits, Ruleset, SegmentSource, compile};

use super::delivery::OutboxDisk;
use super::traffic::catalog;
use crate::clock::{Clock, GatewayClock};
use crate::core::metrics::CoreMetrics;
use crate::core::{Compiled, Core, CoreSettings, Parts};
use crate::cursors::kafka::scripted::Broker;
use crate::decide::Rules;
use crate::unreadable::{self, Unreadable};

/// Profiles in memory: fewer than there are visitors.
pub(super) const LIVE_MAX: usize = 5;
/// How far a row may be behind, in records.
pub(super) const LAG_RECORDS: u64 = 20;
const RECORD_BYTES_MAX: usize = 32 << 10;
const SEGMENT_BYTES: u64 = 256 << 10;
const DISK_BUDGET: u64 = 4 * SEGMENT_BYTES;

/// The machine's wall clock and monotonic clock; only the former is set. Clones are the same two.
#[derive(Clone, Debug)]
pub(super) struct Clocks(Arc<Times>);

#[derive(Debug)]
struct Times {
    wall: AtomicI64,
    monotonic_ms: AtomicU64,
}

impl Clocks {
    fn new() -> Self {
        Self(Arc::new(Times {
            wall: AtomicI64::new(1_800_000_000_000),
            monotonic_ms: AtomicU64::new(0),
        }))
    }

    /// Time passes.
    pub(super) fn advance(&self, ms: u64) {
        self.0.monotonic_ms.fetch_add(ms, Ordering::Relaxed);
        self.set(i64::try_from(ms).unwrap());
    }

    /// Somebody sets the wall clock, by `ms`.
    pub(super) fn set(&self, ms: i64) {
        self.0.wall.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn ms(&self) -> u64 {
        self.0.monotonic_ms.load(Ordering::Relaxed)
    }
}

impl Clock for Clocks {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.wall.load(Ordering::Relaxed))
    }
    fn monotonic_us(&self) -> u64 {
        self.ms() * 1_000
    }
}

/// What many seeds share, because it takes long to make: compiled rules, an open store.
pub(super) struct Workshop {
    engine: Engine,
    rulesets: [Arc<Ruleset>; 2],
    database: Database,
    directory: TempDir,
}

impl Workshop {
    pub(super) fn new() -> Self {
        let engine = Engine::new(Limits::default()).unwrap();
        let load = |which| {
            let sources: Vec<_> = catalog(which)
                .segments
                .into_iter()
                .map(|segment| SegmentSource {
                    name: segment.name,
                    when: segment.when,
                })
                .collect();
            Ruleset::load(&engine, compile(&sources).unwrap()).unwrap()
        };
        let rulesets = [load(0), load(1)];
        let directory = in_memory();
        let state = directory.path().join("state");
        Self {
            database: Database::builder(state).open().unwrap(),
            engine,
            rulesets,
            directory,
        }
    }

    /// The rules of a generation: the two catalogs take turns.
    pub(super) fn rules(&self, generation: u32) -> Rules {
        let which = usize::from(generation.is_multiple_of(2));
        Rules::of(&self.rulesets[which], &catalog(which), generation, 1).unwrap()
    }

    pub(super) fn database(&self) -> Database {
        self.database.clone()
    }

    fn clear(&self) {
        for name in self.database.list_keyspace_names() {
            let keyspace = self.database.keyspace(&name, Default::default).unwrap();
            keyspace.clear().unwrap();
        }
        let _absent = std::fs::remove_dir_all(self.dead_letters());
        let _absent = std::fs::remove_dir_all(self.directory.path().join(unreadable::DIR));
    }

    /// Where records go that do not parse.
    pub(super) fn unreadable(&self) -> Unreadable {
        Unreadable::new(self.directory.path(), &mut Registry::default())
    }

    pub(super) fn dead_letters(&self) -> std::path::PathBuf {
        self.directory.path().join("kafka-dead-letters")
    }
}

/// A directory that needs no disk, where there is such a place.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// See the module.
pub(super) struct Machine<'w> {
    pub(super) workshop: &'w Workshop,
    pub(super) storage: SimulatedStorage,
    pub(super) clocks: Clocks,
    pub(super) outbox: OutboxDisk,
    pub(super) broker: Broker,
    pub(super) generation: u32,
    seed: u64,
    lives: u64,
}

impl<'w> Machine<'w> {
    pub(super) fn new(workshop: &'w Workshop, seed: u64) -> Self {
        workshop.clear();
        Self {
            workshop,
            storage: SimulatedStorage::new(seed),
            clocks: Clocks::new(),
            outbox: OutboxDisk::new(),
            broker: Broker::default(),
            generation: 1,
            seed,
            lives: 0,
        }
    }

    /// Recovers journal and state as a start does, by the clock of this life.
    pub(super) fn start(&mut self, clock: &Arc<GatewayClock<Clocks>>) -> Result<Core, String> {
        self.storage.limit_space(None);
        self.lives += 1;
        let journal = Journal::open_stepped(
            Path::new("/sim"),
            Arc::new(self.storage.clone()),
            tidegate_journal::Settings {
                segment_bytes: SEGMENT_BYTES,
                disk_budget: DISK_BUDGET,
                retention_ms: 1_000,
                record_bytes_max: RECORD_BYTES_MAX,
                batch_bytes_max: 64 << 10,
                buffer_bytes_max: 4 << 20,
                ..tidegate_journal::Settings::default()
            },
        )
        .map_err(|error| error.to_string())?;
        let random = Mutex::new(SmallRng::seed_from_u64(self.seed ^ self.lives << 48));
        let engine = self.workshop.engine.clone();
        let parts = Parts {
            journal,
            database: self.workshop.database(),
            settings: settings(),
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            mint: Arc::new(move || random.lock().random()),
            catalog: catalog(0),
            generation: self.generation,
            compiled: Some(Compiled::of(engine, self.workshop.rules(self.generation))),
            metrics: CoreMetrics::register(&mut Registry::default()),
            unreadable: self.workshop.unreadable(),
        };
        Core::open(parts, |_| ()).map_err(|error| error.to_string())
    }
}

fn settings() -> CoreSettings {
    CoreSettings {
        record_bytes_max: RECORD_BYTES_MAX,
        traits_bytes_max: 512,
        identifiers_max: 50,
        merges_per_hour_max: 1_000,
        live_max: LIVE_MAX,
        retention_ms: 400 * 86_400_000,
        disk_max: 8 << 30,
        lag_records: LAG_RECORDS,
        disk_budget: DISK_BUDGET,
        dedup_window_ms: 86_400_000,
        dedup_entries_max: 100_000,
        ack_timeout_ms: 1_000,
        evaluators: 1,
    }
}
