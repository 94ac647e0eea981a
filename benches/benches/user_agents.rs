//! What a user agent costs: found in the cache, parsed, and parsed where it is made to be dear.
//! `cargo bench -p tidegate-benches --bench user_agents`. Prints the hit rate of a mix first.

use std::hint::black_box;
use std::io::Write as _;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tidegate_benches::hits;
use tidegate_benches::workload::user_agent;
use tidegate_collector::device::{CacheMetrics, Devices};
use tidegate_collector::pipeline::enrich::DeviceLookup;
use tidegate_collector::settings::UserAgents;
use tidegate_event::Timestamp;

const NOW: Timestamp = Timestamp(1_795_348_800_000);
const AGENTS: &str = include_str!("../../collector/src/device/agents.txt");
/// User agents of the mix: some hundred make up most of the traffic, the others are seen rarely.
const DISTINCT: f64 = 50_000.0;

fn agents() -> Vec<&'static str> {
    let lines = AGENTS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit('\t').next()).collect()
}

/// A bound that no bench meets.
fn unbounded() -> Devices {
    Devices::load(&UserAgents {
        misses_per_second_max: u32::MAX,
        ..UserAgents::default()
    })
    .expect("the embedded data is good")
}

/// The `rank`-th most frequent: a real one, its version made distinct.
fn ranked(agents: &[&str], rank: u64) -> String {
    let at = usize::try_from(rank).expect("a small number") % agents.len();
    format!("{} r/{rank}", agents[at])
}

/// A figure beside criterion's.
fn hit_rate() {
    let mut registry = prometheus_client::registry::Registry::default();
    let devices = unbounded().counting(CacheMetrics::register(&mut registry));
    let agents = agents();
    let mut random = SmallRng::seed_from_u64(1);
    // Log-uniform ranks: Zipf's law with exponent 1.
    for _ in 0..200_000 {
        let rank = DISTINCT.powf(random.random::<f64>());
        devices.device(&ranked(&agents, rank as u64), NOW);
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("a text");
    for line in text.lines().filter(|line| line.contains("lookups_total{")) {
        writeln!(std::io::stdout(), "{line}").expect("standard output");
    }
}

fn user_agents(criterion: &mut Criterion) {
    hit_rate();
    let mut group = criterion.benchmark_group("user agent");
    group.throughput(Throughput::Elements(1));
    let hasher = std::hash::RandomState::new();
    let texts: Vec<String> = (0..64).map(user_agent).collect();
    let mut at = 0;
    group.bench_function("SipHash of its text", |bench| {
        bench.iter(|| {
            at = (at + 1) % texts.len();
            std::hash::BuildHasher::hash_one(&hasher, black_box(&texts[at]))
        });
    });
    let devices = hits::devices();
    group.bench_function("hit", |bench| {
        bench.iter(|| {
            at = (at + 1) % texts.len();
            devices.device(black_box(&texts[at]), NOW)
        });
    });
    let devices = unbounded();
    let agents = agents();
    let mut rank = 0;
    group.bench_function("miss", |bench| {
        bench.iter(|| {
            rank += 1;
            devices.device(&ranked(&agents, rank), NOW)
        });
    });
    let mut random = SmallRng::seed_from_u64(1);
    group.bench_function("miss of 512 random bytes", |bench| {
        bench.iter(|| {
            let text: String = (0..512).map(|_| random.random_range(' '..='~')).collect();
            devices.device(&text, NOW)
        });
    });
    group.finish();
}

criterion_group!(benches, user_agents);
criterion_main!(benches);
