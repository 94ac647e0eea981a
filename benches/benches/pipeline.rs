//! The whole pipeline without I/O: decode, consent, identify, enrich, deduplicate, sessionize,
//! decide (100 segments), encode and commit, on one thread, with a journal that keeps nothing;
//! beside parsing the same bytes into a `serde_json::Value`.
//! `cargo bench -p tidegate-benches --bench pipeline`

use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prometheus_client::registry::Registry;
use tidegate_benches::hits::Steps;
use tidegate_benches::nowhere::Nowhere;
use tidegate_benches::segments::segments;
use tidegate_benches::workload::{Shape, bodies};
use tidegate_collector::catalog::Catalog;
use tidegate_collector::clock::Clock;
use tidegate_collector::core::metrics::CoreMetrics;
use tidegate_collector::core::{Core, CoreSettings, Parts, Unlimited};
use tidegate_collector::unreadable::Unreadable;
use tidegate_event::Timestamp;
use tidegate_journal::{Journal, Settings};

/// Events between two commits, as under load from 64 connections.
const BATCH: usize = 64;
const BODIES: usize = 8_000;

/// A clock that goes on by a millisecond every 30 events, as at 30,000 a second.
#[derive(Debug)]
struct Steady(AtomicI64);

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_348_800_000 + self.0.fetch_add(1, Ordering::Relaxed) / 60)
    }
    fn monotonic_us(&self) -> u64 {
        0
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

/// Takes one event to its record.
fn accept(core: &Core, steps: &Steps, body: &[u8], at: usize, clock: &Steady) -> u64 {
    let hit = steps.take(body, at, clock.now());
    let mut accepted = pin!(core.accept(steps.source(), &hit, &Unlimited));
    let mut context = Context::from_waker(Waker::noop());
    match accepted.as_mut().poll(&mut context) {
        Poll::Ready(accepted) => accepted.expect("there is room").offset,
        Poll::Pending => unreachable!("every message id is fresh"),
    }
}

fn commit(core: &Core) {
    core.journal().commit_step();
    core.journal().prepare_step();
}

fn pipeline(criterion: &mut Criterion) {
    let steps = Steps::default();
    let mut bodies = bodies(Shape::default(), BODIES);
    let mut serial = 0;
    let mut group = criterion.benchmark_group("whole pipeline without I/O");
    group.throughput(Throughput::Elements(1));
    group.bench_function("yardstick: parse into a serde_json::Value", |bench| {
        let mut at = 0;
        bench.iter(|| {
            at += 1;
            let body = bodies[at % BODIES].stamped(&mut serial);
            serde_json::from_slice::<serde_json::Value>(black_box(body)).is_ok()
        });
    });
    for count in [0, 100] {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let clock = Arc::new(Steady(AtomicI64::new(0)));
        let core = core(dir.path(), count, Arc::clone(&clock));
        let mut at = 0;
        group.bench_function(BenchmarkId::new("an event, segments", count), |bench| {
            bench.iter(|| {
                at += 1;
                if at % BATCH == 0 {
                    commit(&core);
                }
                let body = bodies[at % BODIES].stamped(&mut serial);
                accept(&core, &steps, black_box(body), at, &clock)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
