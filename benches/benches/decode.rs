//! Steps 1 to 4 on the bench's 600-byte event, each by itself: `cargo bench -p tidegate-benches
//! --bench decode`.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_collector::catalog::{ConsentDefault, GpcPolicy, Source, SourceKind};
use tidegate_collector::geo::GeoDatabases;
use tidegate_collector::pipeline::consent::{Signals, resolve};
use tidegate_collector::pipeline::decode::{Limits, native};
use tidegate_collector::pipeline::enrich::{GeoLookup, RequestFacts, enrich};
use tidegate_collector::pipeline::identify::{CookieFacts, identify};
use tidegate_collector::pipeline::record_json;
use tidegate_collector::settings::Geoip;
use tidegate_event::record::{EventFold, Fold, Record};
use tidegate_event::{Enriched, Geo, Hit, Timestamp};

const LIMITS: Limits = Limits {
    event_bytes_max: 32 << 10,
    batch_events_max: 2_500,
};
const NOW: Timestamp = Timestamp(1_795_348_800_000);
const AGENT: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";
const EVENT: &str = r#"{"type":"track","event":"Product Viewed","anonymousId":"10ed0314-872c-4ba3-a0ce-0f457c8457f4","messageId":"ajs-next-1795355352172-14872c3b-a360-4e0f-857c-8457f47dee34","timestamp":"2026-11-22T11:59:59.172Z","sentAt":"2026-11-22T11:59:59.179Z","properties":{"product_id":"sku-1029","category":"shoes","price":89.9,"currency":"EUR","quantity":1},"context":{"page":{"url":"https://shop.example.com/pricing?utm_source=mail&utm_campaign=spring","path":"/pricing","title":"Pricing","referrer":"https://news.example.com/"},"locale":"en-GB","library":{"name":"tidegate-tag","version":"0.1.0"}}}"#;

struct Nowhere;

impl GeoLookup for Nowhere {
    fn lookup(&self, _: IpAddr) -> Geo {
        Geo::default()
    }
}

fn source() -> Source {
    Source {
        name: "shop".to_owned(),
        write_key: "k".to_owned(),
        kind: SourceKind::Web,
        origins: Vec::new(),
        session_gap_ms: 1_800_000,
        consent_default: ConsentDefault::Granted,
        gpc: GpcPolicy::Anonymous,
        dnt: false,
        conversions: Vec::new(),
        rate_limit: None,
    }
}

fn decode(body: &str) -> Hit<'_> {
    let mut envelope = native::read(body.as_bytes(), &LIMITS).expect("the body is JSON");
    let event = envelope.events.pop().expect("one event");
    event.hit.expect("the event is good")
}

fn steps<'a>(hit: Hit<'a>, source: &Source) -> Enriched<'a> {
    let consented = resolve(hit, &Signals::default(), source).expect("consent is granted");
    let cookie = CookieFacts {
        brought: Some("00112233445566778899aabbccddeeff"),
        distinct_anonymous_ids_in_request: 1,
        allowed: true,
    };
    let (identified, _) = identify(consented, &cookie, &mut || 7);
    let facts = RequestFacts {
        received_at: NOW,
        client_ip: Some(IpAddr::V4(Ipv4Addr::new(81, 2, 69, 142))),
        user_agent: Some(AGENT),
        referer: Some("https://shop.example.com/"),
    };
    enrich(identified, &facts, &Nowhere)
}

fn record<'a>(hit: &'a Enriched<'_>) -> Record<'a> {
    Record {
        generation: 1,
        decided_at: NOW,
        profile: None,
        anonymous_id: hit.hit.anonymous_id.as_deref(),
        user_id: None,
        source: "shop",
        kind: "track",
        event: &hit.hit.name,
        message_id: "m",
        event_time: hit.event_time,
        dispatch: true,
        transitions: Vec::new(),
        fold: Fold::Event(EventFold::default()),
    }
}

fn pipeline(criterion: &mut Criterion) {
    let source = source();
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode", |bench| {
        bench.iter(|| decode(black_box(EVENT)));
    });
    let hit = decode(EVENT);
    group.bench_function("consent+identify+enrich", |bench| {
        bench.iter_batched(
            || hit.clone(),
            |hit| steps(hit, &source),
            criterion::BatchSize::SmallInput,
        );
    });
    let enriched = steps(hit.clone(), &source);
    let head = record(&enriched);
    group.bench_function("record json", |bench| {
        let mut out = Vec::with_capacity(2_048);
        bench.iter(|| {
            out.clear();
            record_json::write_event(&mut out, black_box(&head), &enriched, false);
            out.len()
        });
    });
    let batch = format!("{{\"batch\":[{}]}}", vec![EVENT; 50].join(","));
    group.throughput(Throughput::Elements(50));
    group.bench_function("decode a batch of 50", |bench| {
        bench.iter(|| native::read(black_box(batch.as_bytes()), &LIMITS).expect("a batch"));
    });
    group.finish();
}

fn geo(criterion: &mut Criterion) {
    let fixture = |name: &str| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/geoip/");
        Some(PathBuf::from(path).join(name))
    };
    let databases = GeoDatabases::load(&Geoip {
        city: fixture("GeoLite2-City-Test.mmdb"),
        asn: fixture("GeoLite2-ASN-Test.mmdb"),
    })
    .expect("the fixtures are good");
    // 1,000 addresses in the networks that the test databases know.
    let nets = [[81, 2, 69], [89, 160, 20], [67, 43, 156], [1, 128, 0]];
    let addresses: Vec<IpAddr> = (0..1_000_u16)
        .map(|at| {
            let [a, b, c] = nets[usize::from(at) % nets.len()];
            IpAddr::from([a, b, c, u8::try_from(at / 4).unwrap_or(0)])
        })
        .collect();
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
