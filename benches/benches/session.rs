//! Step 5 by itself: where an event belongs, and its fold into session and profile; beside the
//! least that anybody could do, counting a visitor's events in a hash map.
//! `cargo bench -p tidegate-benches --bench session`

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_benches::records::record;
use tidegate_collector::profile::{Profile, fold};
use tidegate_collector::session::{Assignment, Caps, assign};
use tidegate_event::record::{EventFold, Fold, SessionRef};
use tidegate_event::{
    AggregateHit, AggregateId, AggregateKind, AggregateSpec, HitValue, ProfileId, Timestamp,
    VisitorId,
};

const VISITORS: u64 = 1_000;
const NOW: Timestamp = Timestamp(1_795_348_800_000);

struct World {
    profiles: Vec<Profile>,
    now: Timestamp,
    next: usize,
}

impl World {
    fn new() -> Self {
        let profile = |at: u64| Profile::new(ProfileId(u128::from(at)));
        Self {
            profiles: (0..VISITORS).map(profile).collect(),
            now: NOW,
            next: 0,
        }
    }

    /// One event of the next visitor, `hits` aggregates touched. Every 1,000th event is late, and
    /// visitors fall silent now and then, so that all ways are taken.
    fn event(&mut self, hits: &[AggregateHit]) -> u32 {
        self.next += 1;
        self.now = self.now.plus_ms(if self.next.is_multiple_of(200_000) {
            1_900_000
        } else {
            1
        });
        let at = if self.next.is_multiple_of(1_000) {
            self.now.plus_ms(-600_000)
        } else {
            self.now
        };
        let position = self.next % self.profiles.len();
        let visitor = VisitorId(position as u64);
        let profile = &mut self.profiles[position];
        let session = match assign(&profile.sessions, visitor, at, self.now, Caps::default()) {
            Assignment::Join(at) | Assignment::Bridge { into: at, .. } => {
                profile.sessions[at].reference()
            }
            Assignment::Open | Assignment::Late => {
                let session = SessionRef {
                    id: self.next as u128,
                    visitor,
                    index: profile.session_index(visitor) + 1,
                    gap_ms: 1_800_000,
                };
                let start = record(Fold::SessionStart(session), at, self.now);
                fold::record(profile, None, &start, 0);
                session
            }
        };
        let event = EventFold {
            received_at: self.now,
            session: Some(session),
            page_view: true,
            hits: hits.to_vec(),
            ..EventFold::default()
        };
        let event = record(Fold::Event(event), at, self.now);
        fold::record(profile, None, &event, 0);
        profile.events
    }
}

fn hits(count: u32) -> Vec<AggregateHit> {
    (0..count)
        .map(|at| AggregateHit {
            spec: AggregateSpec {
                id: AggregateId(at),
                kind: AggregateKind::Count,
                window_ms: 30 * 86_400_000,
            },
            value: HitValue::Matched,
        })
        .collect()
}

fn session(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session fold");
    group.throughput(Throughput::Elements(1));
    group.bench_function("yardstick: count in a hash map", |bench| {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        let mut at = 0;
        bench.iter(|| {
            at += 1;
            let count = counts.entry(black_box(at % VISITORS)).or_default();
            *count = count.wrapping_add(1);
            *count
        });
    });
    for count in [0, 4] {
        let hits = hits(count);
        let mut world = World::new();
        group.bench_function(format!("an event, {count} aggregates"), |bench| {
            bench.iter(|| world.event(black_box(&hits)));
        });
    }
    group.finish();
}

criterion_group!(benches, session);
criterion_main!(benches);
