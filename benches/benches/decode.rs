//! Steps 1 to 4 on the bench's 600-byte event, each by itself: `cargo bench -p tidegate-benches
//! --bench decode`.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_benches::hits::{self, LIMITS};
use tidegate_benches::workload::{address, event, user_agent};
use tidegate_collector::device::Devices;
use tidegate_collector::pipeline::enrich::{DeviceLookup, GeoLookup, RequestFacts};
use tidegate_collector::pipeline::record_json;
use tidegate_collector::protocols::native;
use tidegate_event::record::{EventFold, Fold, Record};
use tidegate_event::{Device, Enriched, Geo, Identity, Purposes, Timestamp};

const NOW: Timestamp = Timestamp(1_795_348_800_000);
/// The workload's first "Product Viewed".
const VIEWED: usize = 88;

struct Nowhere;

impl GeoLookup for Nowhere {
    fn lookup(&self, _: IpAddr) -> Geo {
        Geo::default()
    }
}

impl DeviceLookup for Nowhere {
    fn device(&self, user_agent: &str, now: Timestamp) -> Arc<Device> {
        static DEVICES: LazyLock<Devices> = LazyLock::new(hits::devices);
        DEVICES.device(user_agent, now)
    }
}

fn record<'a>(hit: &'a Enriched<'_>) -> Record<'a> {
    Record {
        generation: 1,
        decided_at: NOW,
        profile: None,
        anonymous_id: match &hit.identity {
            Identity::Known(ids) => ids.anonymous_id.as_deref(),
            Identity::Anonymous => None,
        },
        user_id: None,
        source: "shop",
        kind: "track",
        event: &hit.hit.name,
        message_id: "m",
        event_time: hit.event_time,
        purposes: Purposes::GRANTED,
        transitions: Vec::new(),
        fold: Fold::Event(EventFold::default()),
    }
}

fn pipeline(criterion: &mut Criterion) {
    let source = hits::source();
    let text = event(0, VIEWED);
    let agent = user_agent(0);
    let facts = RequestFacts {
        received_at: NOW,
        client_ip: Some(IpAddr::V4(address(0))),
        user_agent: Some(agent.as_str().into()),
        referer: Some("https://shop.example.com/".into()),
        from_back_end: false,
    };
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode", |bench| {
        bench.iter(|| hits::decode(black_box(text.as_bytes())));
    });
    let hit = hits::decode(text.as_bytes());
    group.bench_function("consent+identify+enrich", |bench| {
        bench.iter_batched(
            || hit.clone(),
            |hit| hits::enriched(hit, &source, &facts, &Nowhere),
            criterion::BatchSize::SmallInput,
        );
    });
    let enriched = hits::enriched(hit.clone(), &source, &facts, &Nowhere);
    let head = record(&enriched);
    group.bench_function("record json", |bench| {
        let mut out = Vec::with_capacity(2_048);
        bench.iter(|| {
            out.clear();
            record_json::write_event(&mut out, black_box(&head), &enriched, false);
            out.len()
        });
    });
    let batch = format!("{{\"batch\":[{}]}}", vec![text.as_str(); 50].join(","));
    group.throughput(Throughput::Elements(50));
    group.bench_function("decode a batch of 50", |bench| {
        bench.iter(|| native::read(black_box(batch.as_bytes()), &LIMITS).expect("a batch"));
    });
    group.finish();
}

fn geo(criterion: &mut Criterion) {
    let databases = hits::geo();
    let addresses: Vec<IpAddr> = (0..1_000).map(|at| IpAddr::V4(address(at))).collect();
    let mut group = criterion.benchmark_group("geo");
    group.throughput(Throughput::Elements(1));
    group.bench_function("look up", |bench| {
        let mut at = 0;
        bench.iter(|| {
            at = (at + 1) % addresses.len();
            databases.lookup(addresses[at])
        });
    });
    group.finish();
}

criterion_group!(benches, pipeline, geo);
criterion_main!(benches);
