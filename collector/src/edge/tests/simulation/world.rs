//! One life of a gateway: the real edge on the real core on a journal whose disk is simulated.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tidegate_event::{Pulses, Timestamp};
use tidegate_journal::storage::simulated::SimulatedStorage;
use tidegate_journal::{Cursor, CursorClass, Journal, Step};
use tokio::sync::watch;

use super::traffic::{BATCH_EVENTS_MAX, BODY_BYTES_MAX, BODY_TIMEOUT_MS, EVENT_BYTES_MAX};
use crate::bad_rows::BadRows;
use crate::catalog::{Catalog, Segment};
use crate::clock::Clock;
use crate::core::checkpoint::Extent;
use crate::core::metrics::CoreMetrics;
use crate::core::{Core, CoreSettings, Parts};
use crate::edge::fake::{Nowhere, server_source, strict_source, web_source};
use crate::edge::{Edge, EdgeMetrics, RuntimeCatalog};
use crate::settings::Settings;
use crate::tracked::Outcomes;
use crate::unreadable::Unreadable;

/// How long `ack = "kafka"` waits, milliseconds.
pub(super) const ACK_TIMEOUT_MS: u64 = 5_000;

#[derive(Debug)]
pub(super) struct SimulatedClock(AtomicI64);

impl SimulatedClock {
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(1_800_000_000_000))
    }

    pub(super) fn advance(&self, ms: u64) {
        self.0
            .fetch_add(i64::try_from(ms).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
    fn monotonic_us(&self) -> u64 {
        0
    }
}

/// What stays when the process ends.
pub(super) struct Machine {
    pub(super) storage: SimulatedStorage,
    pub(super) clock: Arc<SimulatedClock>,
    directory: tempfile::TempDir,
    seed: u64,
}

/// How a life is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// `ack = "kafka"`.
    pub(super) kafka: bool,
    /// The journal runs its own threads; else the simulation commits and prepares.
    pub(super) threads: bool,
    pub(super) in_flight_max: usize,
    pub(super) buffer_bytes_max: usize,
    pub(super) bodies_bytes_max: usize,
}

/// A running gateway without sockets.
pub(super) struct Gateway {
    pub(super) edge: Arc<Edge<Core>>,
    pub(super) core: Core,
    pub(super) outcomes: Arc<Outcomes>,
    /// Where Kafka has acknowledged to, with `ack = "kafka"`.
    pub(super) acked: Option<watch::Sender<u64>>,
    /// Follows the journal as a sink would, and so holds its segments.
    pub(super) cursor: Cursor,
    _bad_rows: tempfile::TempDir,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            storage: SimulatedStorage::new(seed),
            clock: Arc::new(SimulatedClock::new()),
            directory: tempfile::tempdir().unwrap(),
            seed,
        }
    }

    /// Starts a gateway on what the last one left.
    pub(super) fn start(&self, life: u64, shape: Shape) -> Gateway {
        let open = if shape.threads {
            Journal::open
        } else {
            Journal::open_stepped
        };
        let journal = open(
            Path::new("/sim"),
            Arc::new(self.storage.clone()),
            journal_settings(shape),
        )
        .unwrap();
        let cursor = journal.cursor("sink", CursorClass::Required).unwrap();
        let core = self.core(journal, life);
        let acked = shape.kafka.then(|| {
            let (acked, follows) = watch::channel(0);
            core.acknowledge_by(follows);
            acked
        });
        let bad_rows = tempfile::tempdir().unwrap();
        let settings = edge_settings(shape);
        let mut registry = Registry::default();
        let pulse = Pulses::default().register("bad-rows", 60_000);
        let kept =
            BadRows::start(bad_rows.path(), &settings.bad_rows, &mut registry, pulse).unwrap();
        let metrics = EdgeMetrics::register(&mut registry);
        let outcomes = Arc::clone(&metrics.outcomes);
        let sources = Arc::new(ArcSwap::from_pointee(RuntimeCatalog::new(&catalog())));
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let edge = Edge::new(
            &settings,
            sources,
            core.clone(),
            Arc::new(Nowhere),
            clock,
            metrics,
            kept,
        );
        Gateway {
            edge: Arc::new(edge),
            core,
            outcomes,
            acked,
            cursor,
            _bad_rows: bad_rows,
        }
    }

    fn core(&self, journal: Journal, life: u64) -> Core {
        let state = self.directory.path().join("state");
        let random = Mutex::new(SmallRng::seed_from_u64(self.seed ^ life << 32));
        let parts = Parts {
            journal,
            database: fjall::Database::builder(state).open().unwrap(),
            settings: CoreSettings {
                record_bytes_max: RECORD_BYTES_MAX,
                traits_bytes_max: 512,
                identifiers_max: 50,
                merges_per_hour_max: 1_000,
                live_max: 1_000,
                retention_ms: 400 * 86_400_000,
                disk_max: 8 << 30,
                lag_records: 50,
                disk_budget: DISK_BUDGET,
                dedup_window_ms: 86_400_000,
                dedup_entries_max: 100_000,
                ack_timeout_ms: ACK_TIMEOUT_MS,
                evaluators: 4,
            },
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            mint: Arc::new(move || random.lock().random()),
            catalog: catalog(),
            generation: 1,
            compiled: None,
            metrics: CoreMetrics::register(&mut Registry::default()),
            unreadable: Unreadable::new(self.directory.path(), &mut Registry::default()),
        };
        Core::open(parts, |_| ()).unwrap()
    }
}

const RECORD_BYTES_MAX: usize = 32 << 10;
const SEGMENT_BYTES: u64 = 256 << 10;
const DISK_BUDGET: u64 = 4 * SEGMENT_BYTES;

fn journal_settings(shape: Shape) -> tidegate_journal::Settings {
    tidegate_journal::Settings {
        segment_bytes: SEGMENT_BYTES,
        disk_budget: DISK_BUDGET,
        retention_ms: 1_000,
        record_bytes_max: RECORD_BYTES_MAX,
        batch_bytes_max: 64 << 10,
        buffer_bytes_max: shape.buffer_bytes_max,
        ..tidegate_journal::Settings::default()
    }
}

fn edge_settings(shape: Shape) -> Settings {
    let mut settings = Settings::default();
    settings.edge.in_flight_max = shape.in_flight_max;
    settings.edge.buffered_bytes_max = shape.bodies_bytes_max;
    settings.edge.body_bytes_max = BODY_BYTES_MAX;
    settings.edge.body_timeout_ms = BODY_TIMEOUT_MS;
    settings.edge.event_bytes_max = EVENT_BYTES_MAX;
    settings.edge.batch_events_max = BATCH_EVENTS_MAX;
    settings
}

fn catalog() -> Catalog {
    let segment = |name: &str, when: &str| Segment {
        name: name.to_owned(),
        when: when.to_owned(),
        wake_up_max_delay_ms: 86_400_000,
    };
    Catalog {
        sources: vec![web_source(), server_source(), strict_source()],
        segments: vec![
            segment("busy", r#"count(event.type == "page", "30m") >= 3"#),
            segment(
                "abandoned",
                r#"absent(event.name == "Dated", event.name == "Cart", "20m")"#,
            ),
        ],
        ..Catalog::default()
    }
}

impl Gateway {
    /// Commits and prepares until nothing is left to do.
    pub(super) fn commit_all(&self) {
        let journal = self.core.journal();
        for _ in 0..1_000 {
            match journal.commit_step() {
                Step::Committed => {}
                Step::Waiting => journal.prepare_step(),
                Step::Idle | Step::Ended => return,
            }
        }
    }

    /// Writes the state behind and lets the sink pass what is durable, so that segments retire.
    pub(super) fn release_segments(&self) {
        self.core.checkpoint(Extent::All).unwrap();
        self.core.observe_time();
        self.core.journal().prepare_step();
    }
}
