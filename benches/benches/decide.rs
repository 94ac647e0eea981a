//! Step 6 by itself: the conditions of aggregates and the verdicts of 1, 100 and 1,000 segments
//! over 64 rotating events; beside native Rust closures that say what one of the segments says.
//! `cargo bench -p tidegate-benches --bench decide`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prometheus_client::registry::Registry;
use tidegate_benches::hits::Steps;
use tidegate_benches::records::record;
use tidegate_benches::segments::segments;
use tidegate_benches::workload::{SOURCE, Shape, bodies};
use tidegate_collector::catalog::Catalog;
use tidegate_collector::decide::{Moment, Rules, Traps};
use tidegate_collector::profile::{Profile, fold};
use tidegate_event::record::{EventFold, Fold, SessionRef};
use tidegate_event::{Enriched, ProfileId, Timestamp, VisitorId};
use tidegate_rules_wasm::{Engine, Limits};

const EVENTS: usize = 64;
const NOW: Timestamp = Timestamp(1_795_348_800_000);

/// A profile with a session and with what `events` left in its aggregates and memberships.
fn regular(rules: &Rules, traps: &Traps, events: &[Enriched<'_>]) -> Profile {
    let mut profile = Profile::new(ProfileId(1));
    let visitor = VisitorId::of("a");
    let session = SessionRef {
        id: 1,
        visitor,
        index: 1,
        gap_ms: 1_800_000,
    };
    let start = record(Fold::SessionStart(session), NOW, NOW);
    fold::record(&mut profile, None, &start, 0);
    for event in events {
        let mut evaluation = rules.evaluation(traps);
        let hits = evaluation.conditions(event, SOURCE);
        let step = EventFold {
            received_at: NOW,
            session: Some(session),
            page_view: true,
            hits: hits.expect("no rule traps").to_vec(),
            ..EventFold::default()
        };
        let mut event = record(Fold::Event(step), NOW, NOW);
        let received = fold::received(&mut profile, None, &event);
        let decided = evaluation.decide(moment(received.profile()));
        event.decide(decided.transitions, decided.wake_up);
        received.decided(&event, 0);
    }
    profile
}

fn moment(profile: &Profile) -> Moment<'_> {
    Moment {
        session: profile.open_session(),
        ..Moment::of(profile, NOW)
    }
}

type Closure = Box<dyn Fn(&Enriched<'_>, &Profile) -> bool>;

/// `count` closures of one kind with different words: nothing can be shared between them.
fn closures(count: usize) -> Vec<Closure> {
    (0..count)
        .map(|at| -> Closure {
            let path = format!(
                "/pricing{}",
                if at == 0 {
                    String::new()
                } else {
                    at.to_string()
                }
            );
            Box::new(move |event, profile| {
                let country = event.geo.country.as_deref();
                event
                    .page
                    .path
                    .as_deref()
                    .is_some_and(|p| p.starts_with(&path))
                    && profile.open_session().is_some_and(|s| s.page_views >= 3)
                    && country.is_some_and(|country| ["US", "CA", "GB"].contains(&country))
            })
        })
        .collect()
}

fn decisions(criterion: &mut Criterion) {
    let steps = Steps::default();
    let mut serial = 0;
    let texts: Vec<Vec<u8>> = bodies(Shape::default(), EVENTS)
        .iter_mut()
        .map(|body| body.stamped(&mut serial).to_vec())
        .collect();
    let numbered = texts.iter().enumerate();
    let events: Vec<Enriched<'_>> = numbered
        .map(|(at, text)| steps.take(text, at, NOW))
        .collect();
    let traps = Traps::register(&mut Registry::default());
    let engine = Engine::new(Limits::default()).expect("the engine starts");
    let mut group = criterion.benchmark_group("decide");
    for count in [1, 100, 1_000] {
        group.throughput(Throughput::Elements(count as u64));
        let native = closures(count);
        let mut at = 0;
        let profile = Profile::new(ProfileId(1));
        group.bench_function(
            BenchmarkId::new("yardstick: native closures", count),
            |bench| {
                bench.iter(|| {
                    at = (at + 1) % EVENTS;
                    let event = black_box(&events[at]);
                    native
                        .iter()
                        .filter(|closure| closure(event, &profile))
                        .count()
                });
            },
        );
        let catalog = Catalog {
            segments: segments(count),
            ..Catalog::default()
        };
        let rules = Rules::load(&engine, &catalog, 1, 1).expect("the segments compile");
        let profile = regular(&rules, &traps, &events);
        group.bench_function(BenchmarkId::new("segments", count), |bench| {
            let mut at = 0;
            bench.iter(|| {
                at = (at + 1) % EVENTS;
                let mut evaluation = rules.evaluation(&traps);
                let hits = evaluation.conditions(black_box(&events[at]), SOURCE);
                let hits = hits.expect("no rule traps").len();
                let decided = evaluation.decide(moment(&profile));
                hits + decided.transitions.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
