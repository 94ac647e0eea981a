//! Dead letters of one key, those of earlier builds too, and what a replay makes of them.

use std::sync::Arc;

use tidegate_event::Timestamp;

use super::operations::{Bench, named};
use crate::Intent;
use crate::dead_letter::{DeadReason, DeadRow, RenderedRequest};
use crate::intent::Row;
use crate::intent::tests::intent;
use crate::outbox::{DestinationId, Outbox};
use crate::queue::DueChange;
use crate::replay::ReplayWhich;
use crate::retry::Answer;
use crate::settings::Settings;
use crate::simulation::{Durability, MemoryStorage, Space, Step};

const OK: u16 = 200;
const REFUSED: u16 = 400;

/// A store as an earlier build left it: each dead letter and each row of a key.
fn earlier_build(letters: &[Intent], rows: &[Intent]) -> MemoryStorage {
    let storage = MemoryStorage::default();
    let outbox = Outbox::open(Arc::new(storage.clone())).unwrap();
    let id = DestinationId::of("ads");
    let at = Timestamp(1_795_355_327_974);
    let mut write = outbox.write();
    for (number, change) in (7..).zip(letters) {
        let dead = DeadRow {
            row: Row::new(change, at),
            reason: DeadReason::OutboxFull,
            at,
            request: RenderedRequest {
                method: "POST".to_owned(),
                url: "/".to_owned(),
                body: String::new(),
            },
        };
        write.put_dead(id, number, &dead);
    }
    for change in rows {
        let row = Row::new(change, at);
        let first = rows
            .iter()
            .find(|one| one.head().profile == change.head().profile);
        if first == Some(change) {
            let put = Some((at, change.offset()));
            write.change_due(id, &row.key(), DueChange { remove: None, put });
        }
        write.put_row(id, &row);
    }
    write.set_cursor(1_000);
    write.commit(Durability::Synced).unwrap();
    storage
}

fn bench_over(storage: MemoryStorage, settings: Settings) -> Bench {
    Bench::over(storage, settings, &[named("ads", "buyers")])
}

fn hand_in(bench: &Bench, changes: &[Intent]) {
    let next = changes[changes.len() - 1].offset() + 1;
    assert_eq!(bench.activation.hand_in(changes, next).unwrap(), next);
}

fn steps_until_flying(bench: &mut Bench, flights: usize) {
    while bench.engine.flights().len() < flights {
        bench.engine.look("ads");
        bench.engine.store_step();
    }
}

fn answer(bench: &mut Bench, offset: u64, code: u16) {
    let flights = bench.engine.flights();
    let flight = flights.iter().find(|one| one.change.offset() == offset);
    let retry_after_ms = (code == 503).then_some(2_000);
    let answer = Answer::Status {
        code,
        retry_after_ms,
    };
    assert!(bench.engine.answer("ads", flight.unwrap().flight, answer));
    assert_eq!(bench.engine.store_step(), Step::Again);
}

fn listed(bench: &Bench) -> Vec<u32> {
    let letters = bench.activation.dead_letters("ads", 100).unwrap();
    let stored = bench.storage.entries(Space::Dead).len();
    assert_eq!(stored, letters.len());
    assert_eq!(bench.activation.list()[0].dead_letters, stored as u64);
    letters.iter().map(|letter| letter.epoch).collect()
}

#[test]
fn a_key_keeps_its_newest_dead_letter() {
    let mut bench = bench_over(MemoryStorage::default(), Settings::default());
    for epoch in 1..=5 {
        hand_in(&bench, &[intent(1, epoch, epoch.into())]);
        bench.run(|_| REFUSED);
    }
    hand_in(&bench, &[intent(2, 1, 6)]);
    bench.run(|_| REFUSED);
    assert_eq!(listed(&bench), [1, 5]);
    let metrics = &bench.activation.metrics().destinations[0];
    assert_eq!((metrics.dead_total, metrics.coalesced), (6, 4));
}

#[test]
fn letters_of_an_earlier_build_give_way_to_a_newer() {
    let earlier: Vec<_> = (1..=3).map(|n| intent(1, n, n.into())).collect();
    let mut bench = bench_over(earlier_build(&earlier, &[]), Settings::default());
    assert_eq!(listed(&bench), [3, 2, 1]);
    hand_in(&bench, &[intent(1, 4, 1_001)]);
    bench.run(|_| REFUSED);
    assert_eq!(listed(&bench), [4]);
}

#[test]
fn rows_of_an_earlier_build_are_coalesced_when_loaded() {
    let rows: Vec<_> = (1..=500).map(|n| intent(1, n, n.into())).collect();
    let mut bench = bench_over(earlier_build(&[], &rows), Settings::default());
    bench.run(|_| OK);
    let metrics = &bench.activation.metrics().destinations[0];
    assert_eq!((metrics.status.delivered, metrics.coalesced), (4, 496));
    assert_eq!(bench.storage.entries(Space::Jobs), []);
    assert_eq!(bench.storage.entries(Space::Due), []);
}

#[test]
fn the_profile_with_most_letters_loses_one() {
    let mut earlier = vec![intent(9, 1, 1)];
    earlier.extend((2..=10).map(|n| intent(1, n, n.into())));
    let settings = Settings {
        dead_letters_max: 3,
        ..Settings::default()
    };
    let mut bench = bench_over(earlier_build(&earlier, &[]), settings);
    hand_in(&bench, &[intent(2, 1, 1_001)]);
    bench.run(|_| REFUSED);
    let letters = bench.activation.dead_letters("ads", 100).unwrap();
    let epochs: Vec<_> = letters.iter().map(|letter| letter.epoch).collect();
    assert_eq!(epochs, [1, 10, 1], "each profile keeps one");
    let metrics = &bench.activation.metrics().destinations[0];
    assert_eq!(metrics.dead_dropped, 8);
    assert_eq!(listed(&bench).len(), 3);
}

/// The newer change was dead-lettered while the older one was on its way.
#[test]
fn an_older_change_never_replaces_a_newer_letter() {
    let settings = Settings {
        destination_rows_max: 1,
        ..Settings::default()
    };
    let mut bench = bench_over(MemoryStorage::default(), settings);
    hand_in(&bench, &[intent(1, 1, 1)]);
    steps_until_flying(&mut bench, 1);
    let newer = [intent(1, 2, 2)];
    assert_eq!(bench.activation.hand_in(&newer, 3).unwrap(), 2, "it waits");
    bench.clock.pass(1_001);
    hand_in(&bench, &newer);
    assert_eq!(listed(&bench), [2]);
    answer(&mut bench, 1, REFUSED);
    assert_eq!(listed(&bench), [2]);
    let metrics = &bench.activation.metrics().destinations[0];
    assert_eq!((metrics.dead_total, metrics.coalesced), (2, 1));
    bench.activation.replay("ads", ReplayWhich::All).unwrap();
    bench.run(|_| OK);
    assert_eq!(bench.activation.list()[0].delivered, 1);
}

#[test]
fn a_replay_removes_the_row_it_replaces() {
    let letters = [intent(1, 3, 1_003), intent(1, 4, 1_004)];
    let mut bench = bench_over(earlier_build(&letters, &[]), Settings::default());
    hand_in(&bench, &[intent(1, 2, 1_002)]);
    steps_until_flying(&mut bench, 1);
    answer(&mut bench, 1_002, 503);
    let report = bench.activation.replay("ads", ReplayWhich::All).unwrap();
    assert_eq!(report.replayed, 2);
    let stored = bench.storage.entries(Space::Jobs).len();
    assert_eq!(stored, 2, "the first letter gave way to the second");
    let metrics = bench.activation.metrics();
    assert_eq!(metrics.outbox_rows, 2);
    assert_eq!(metrics.destinations[0].coalesced, 1);
    bench.clock.pass(5_000);
    bench.run(|_| OK);
    assert_eq!(bench.activation.list()[0].delivered, 2);
    assert_eq!(bench.storage.entries(Space::Jobs), []);
    assert_eq!(bench.storage.entries(Space::Due), []);
}

#[test]
fn a_letter_waits_for_the_rest_of_its_record() {
    let (letter, row) = ([intent(3, 2, 3)], [intent(3, 1, 3)]);
    let mut bench = bench_over(earlier_build(&letter, &row), Settings::default());
    let report = bench.activation.replay("ads", ReplayWhich::All).unwrap();
    assert_eq!((report.replayed, report.no_capacity), (0, 1));
    bench.run(|_| OK);
    assert_eq!(bench.activation.list()[0].delivered, 1);
    let report = bench.activation.replay("ads", ReplayWhich::All).unwrap();
    assert_eq!(report.replayed, 1);
    bench.run(|_| OK);
    assert_eq!(bench.activation.list()[0].delivered, 2);
    assert_eq!(bench.storage.entries(Space::Jobs), []);
}
