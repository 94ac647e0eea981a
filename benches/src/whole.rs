//! The whole pipeline on one thread, with a journal that keeps nothing: for benches that measure an
//! event without I/O.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use prometheus_client::registry::Registry;
use tidegate_collector::catalog::{Catalog, Source};
use tidegate_collector::clock::Clock;
use tidegate_collector::core::metrics::CoreMetrics;
use tidegate_collector::core::{Core, CoreSettings, Parts, Unlimited};
use tidegate_collector::unreadable::Unreadable;
use tidegate_event::{Enriched, Timestamp};
use tidegate_journal::{Journal, Settings};

use crate::nowhere::Nowhere;
use crate::segments::segments;

/// A clock that goes on by a millisecond every 30 events, as at 30,000 a second.
#[derive(Debug, Default)]
pub struct Steady(AtomicI64);

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_348_800_000 + self.0.fetch_add(1, Ordering::Relaxed) / 60)
    }
    fn monotonic_us(&self) -> u64 {
        0
    }
}

/// A core with its clock.
#[derive(Debug)]
pub struct Whole {
    core: Core,
    clock: Arc<Steady>,
}

impl Whole {
    /// With so many segments and an empty store in `dir`.
    #[must_use]
    pub fn new(dir: &Path, count: usize) -> Self {
        let clock = Arc::new(Steady::default());
        let core = core(dir, count, Arc::clone(&clock));
        Self { core, clock }
    }

    /// The clock's time, which goes on.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes one hit to its record; says its offset.
    pub fn accept(&self, source: &Source, hit: &Enriched<'_>) -> u64 {
        let mut accepted = pin!(self.core.accept(source, hit, &Unlimited));
        let mut context = Context::from_waker(Waker::noop());
        match accepted.as_mut().poll(&mut context) {
            Poll::Ready(accepted) => accepted.expect("there is room").offset,
            Poll::Pending => unreachable!("every message id is fresh"),
        }
    }

    /// Writes what was accepted since the last time.
    pub fn commit(&self) {
        self.core.journal().commit_step();
        self.core.journal().prepare_step();
    }

    /// Bytes that the journal has written.
    #[must_use]
    pub fn journal_bytes(&self) -> u64 {
        self.core.journal().stats().bytes
    }
}

fn core(dir: &Path, count: usize, clock: Arc<Steady>) -> Core {
    let settings = Settings {
        disk_budget: 1 << 50,
        ..Settings::default()
    };
    let journal = Journal::open_stepped(
        Path::new("/nowhere"),
        Arc::new(Nowhere::default()),
        settings,
    )
    .expect("the journal opens");
    let minted = AtomicU64::new(0);
    let parts = Parts {
        journal,
        database: fjall::Database::builder(dir).open().expect("a database"),
        settings: CoreSettings {
            record_bytes_max: 1 << 20,
            traits_bytes_max: 2_048,
            identifiers_max: 50,
            merges_per_hour_max: 20,
            live_max: 2_000_000,
            retention_ms: 400 * 86_400_000,
            disk_max: 8 << 30,
            lag_records: 5_000_000,
            disk_budget: 1 << 50,
            dedup_window_ms: 86_400_000,
            dedup_entries_max: 500_000,
            ack_timeout_ms: 1_000,
            evaluators: 1,
        },
        clock,
        mint: Arc::new(move || u128::from(minted.fetch_add(1, Ordering::Relaxed)) << 64 | 1),
        catalog: Catalog {
            segments: segments(count),
            ..Catalog::default()
        },
        generation: 1,
        compiled: None,
        metrics: CoreMetrics::register(&mut Registry::default()),
        unreadable: Unreadable::new(dir, &mut Registry::default()),
    };
    Core::open(parts, |_| ()).expect("an empty state")
}
