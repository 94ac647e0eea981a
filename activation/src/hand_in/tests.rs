//! Hand-ins by themselves: what they store, count and read.

use super::*;
use crate::clock::Clock;
use crate::destinations::plans;
use crate::destinations::webhook;
use crate::intent::Intent;
use crate::intent::tests::{change, intent};
use crate::outbox::{DestinationId, Kept};
use crate::queue::Waiting;
use crate::settings::DestinationConfig;
use crate::simulation::{MemoryStorage, ScriptedTransport};

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }
}

fn webhook() -> Arc<Destination> {
    lingering(0)
}

fn lingering(linger_ms: u64) -> Arc<Destination> {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut config =
        DestinationConfig::new("ads", webhook::kind("https://h.example/", secret), &["*"]);
    config.linger_ms = linger_ms;
    let plan = plans(&[config], &[]).unwrap().remove(0);
    let id = DestinationId::of("ads");
    Arc::new(Destination::new(id, plan, 10, Kept::default()))
}

fn shared(storage: &MemoryStorage, settings: &Settings) -> Shared {
    let outbox = Outbox::open(Arc::new(storage.clone())).unwrap();
    let transport = Arc::new(ScriptedTransport::default());
    Shared::new(outbox, Arc::new(Fixed), settings.clone(), transport, 0).unwrap()
}

#[test]
fn a_batch_that_was_not_written_holds_no_capacity() {
    let (storage, settings) = (MemoryStorage::default(), Settings::default());
    let shared = shared(&storage, &settings);
    let destination = webhook();
    let routes = Routes::new(&[Arc::clone(&destination)], &settings);
    assert_eq!(hand_in(&shared, &routes, &[intent(1, 1, 1)], 2).unwrap(), 2);
    storage.fail_writes(1);
    let batch = [intent(2, 1, 2), intent(1, 2, 3)];
    assert!(hand_in(&shared, &routes, &batch, 4).is_err());
    assert_eq!((shared.rows(), destination.rows()), (1, 1));
    assert_eq!(shared.cursor.load(Ordering::Acquire), 2);
    assert!(shared.has_failed());
}

#[test]
fn a_failed_read_costs_no_hand_in() {
    let (storage, settings) = (MemoryStorage::default(), Settings::default());
    let shared = shared(&storage, &settings);
    let destination = lingering(1_000);
    let routes = Routes::new(&[Arc::clone(&destination)], &settings);
    // Nothing of the store is in memory yet, so a change that may replace one reads that.
    assert_eq!(hand_in(&shared, &routes, &[intent(1, 1, 1)], 2).unwrap(), 2);
    storage.fail_reads(1);
    let batch = [intent(1, 2, 2), intent(2, 1, 3)];
    assert_eq!(hand_in(&shared, &routes, &batch, 4).unwrap(), 4);
    assert!(!shared.has_failed());
    assert_eq!((shared.rows(), destination.rows()), (3, 3));
    let unreadable = &destination.stats.unreadable;
    assert_eq!(unreadable.load(Ordering::Relaxed), 1);
}

#[test]
fn two_changes_of_one_record_and_key_are_one_row() {
    let (storage, settings) = (MemoryStorage::default(), Settings::default());
    let shared = shared(&storage, &settings);
    let destination = webhook();
    let routes = Routes::new(&[Arc::clone(&destination)], &settings);
    let batch = [intent(1, 1, 1), intent(1, 2, 1)];
    assert_eq!(hand_in(&shared, &routes, &batch, 2).unwrap(), 2);
    assert_eq!((shared.rows(), destination.rows()), (1, 1));
    let key = batch[0].key();
    let rows = shared.outbox().unwrap().rows(destination.id, &key).unwrap();
    assert_eq!(rows.readable.len(), 1);
    assert_eq!(rows.readable[0].intent.epoch(), 2, "the newer one");
}

fn small(rows_max: u64) -> Settings {
    Settings {
        outbox_rows_max: 2 * rows_max,
        destination_rows_max: rows_max,
        ..Settings::default()
    }
}

/// All keys in memory, or all in the store only.
fn each_way(run: impl Fn(bool, Arc<Destination>)) {
    for in_memory in [true, false] {
        let destination = webhook();
        if in_memory {
            let mut queue = Queue::new(100, Waiting::default());
            queue.refilled(None, Timestamp(0));
            *destination.queue.lock() = queue;
        }
        run(in_memory, destination);
    }
}

fn epochs(shared: &Shared, destination: &Destination, profile: u128) -> Vec<u32> {
    let key = intent(profile, 1, 1).key();
    let rows = shared.outbox().unwrap().rows(destination.id, &key).unwrap();
    rows.readable.iter().map(|row| row.intent.epoch()).collect()
}

#[test]
fn flips_of_one_visitor_are_four_rows() {
    each_way(|in_memory, destination| {
        let (storage, settings) = (MemoryStorage::default(), Settings::default());
        let shared = shared(&storage, &settings);
        let routes = Routes::new(&[Arc::clone(&destination)], &settings);
        let flips = |range: std::ops::Range<u32>| -> Vec<_> {
            range.map(|epoch| intent(1, epoch, epoch.into())).collect()
        };
        let before = storage.operations();
        hand_in(&shared, &routes, &flips(1..1_001), 1_001).unwrap();
        // Four rows, a due entry, cursor and clock.
        assert_eq!(storage.operations() - before, 7, "in memory: {in_memory}");
        assert_eq!(epochs(&shared, &destination, 1), [1, 2, 3, 1_000]);
        hand_in(&shared, &routes, &flips(1_001..2_001), 2_001).unwrap();
        assert_eq!(epochs(&shared, &destination, 1), [1, 2, 3, 2_000]);
        assert_eq!((shared.rows(), destination.rows()), (4, 4));
        assert_eq!(destination.stats.coalesced.load(Ordering::Relaxed), 1_996);
    });
}

#[test]
fn past_half_a_key_keeps_its_latest_change() {
    each_way(|_, destination| {
        let (storage, settings) = (MemoryStorage::default(), small(8));
        let shared = shared(&storage, &settings);
        let routes = Routes::new(&[Arc::clone(&destination)], &settings);
        let mut batch: Vec<_> = (1..=4u64).map(|n| intent(n.into(), 1, n)).collect();
        batch.extend((5..=9u32).map(|n| intent(1, n, n.into())));
        batch.push(intent(5, 1, 10));
        assert_eq!(hand_in(&shared, &routes, &batch, 11).unwrap(), 11);
        assert_eq!(epochs(&shared, &destination, 1), [9]);
        assert_eq!(epochs(&shared, &destination, 5), [1]);
        assert_eq!(destination.rows(), 5);
    });
}

#[test]
fn the_last_quarter_is_for_visitors_without_rows() {
    each_way(|_, destination| {
        let (storage, settings) = (MemoryStorage::default(), small(8));
        let shared = shared(&storage, &settings);
        let routes = Routes::new(&[Arc::clone(&destination)], &settings);
        let of_segment = |n: u64| {
            let mut change = change(1, 1, n);
            change.segment = format!("s-{n}");
            Intent::AudienceChange(change)
        };
        // A destination that is held back is not waited for.
        destination.control.lock().breaker.disable();
        let mut batch: Vec<_> = (1..=20).map(of_segment).collect();
        batch.extend((21..=23).map(|n| intent(n.into(), 1, n)));
        assert_eq!(hand_in(&shared, &routes, &batch, 24).unwrap(), 24);
        let rows = |profile| epochs(&shared, &destination, profile).len();
        assert_eq!((rows(21), rows(22), rows(23)), (1, 1, 0));
        assert_eq!(destination.rows(), 8);
        let letters = destination.dead_letters.lock().count();
        assert_eq!(letters, 15, "14 of the one who has rows, and one more");
    });
}

#[test]
fn a_full_part_still_takes_the_latest_state() {
    each_way(|_, destination| {
        let (storage, settings) = (MemoryStorage::default(), small(2));
        let shared = shared(&storage, &settings);
        let routes = Routes::new(&[Arc::clone(&destination)], &settings);
        destination.control.lock().breaker.disable();
        let batch = [
            intent(1, 1, 1),
            intent(2, 1, 2),
            intent(3, 1, 3),
            intent(1, 2, 4),
            intent(3, 2, 5),
        ];
        assert_eq!(hand_in(&shared, &routes, &batch, 6).unwrap(), 6);
        assert_eq!(epochs(&shared, &destination, 1), [2]);
        assert_eq!(
            destination.dead_letters.lock().count(),
            1,
            "the newest of 3"
        );
        assert_eq!(destination.stats.dead.load(Ordering::Relaxed), 1);
        assert_eq!(destination.stats.coalesced.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn the_cursor_is_stored_alone_when_asked() {
    let (storage, settings) = (MemoryStorage::default(), Settings::default());
    let shared = shared(&storage, &settings);
    let stored = || {
        Outbox::open(Arc::new(storage.clone()))
            .unwrap()
            .cursor()
            .unwrap()
    };
    assert_eq!(
        hand_in(&shared, &Routes::default(), &[intent(1, 1, 1)], 2).unwrap(),
        2
    );
    assert_eq!(stored(), 0);
    follow(&shared, 5).unwrap();
    assert_eq!((stored(), shared.cursor.load(Ordering::Acquire)), (5, 5));
    follow(&shared, 3).unwrap();
    assert_eq!(stored(), 5, "it never goes back");
    storage.fail_writes(1);
    assert!(follow(&shared, 9).is_err());
    assert_eq!(shared.cursor.load(Ordering::Acquire), 5);
}
