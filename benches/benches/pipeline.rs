//! The whole pipeline without I/O: decode, consent, identify, enrich, deduplicate, sessionize,
//! decide (100 segments), encode and commit, on one thread, with a journal that keeps nothing;
//! beside parsing the same bytes into a `serde_json::Value`.
//! `cargo bench -p tidegate-benches --bench pipeline`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate_benches::hits::Steps;
use tidegate_benches::whole::Whole;
use tidegate_benches::workload::{Shape, bodies};

/// Events between two commits, as under load from 64 connections.
const BATCH: usize = 64;
const BODIES: usize = 8_000;

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
        let whole = Whole::new(dir.path(), count);
        let mut at = 0;
        group.bench_function(BenchmarkId::new("an event, segments", count), |bench| {
            bench.iter(|| {
                at += 1;
                if at % BATCH == 0 {
                    whole.commit();
                }
                let body = bodies[at % BODIES].stamped(&mut serial);
                let hit = steps.take(black_box(body), at, whole.now());
                whole.accept(steps.source(), &hit)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
