use std::collections::BTreeMap;
use std::task::Poll;

use super::support::{NOW, commit_many, fill, poll_once, read_all, record, small, stepped};
use crate::storage::simulated::{Operation, SimulatedStorage};
use crate::{CursorClass, FullReason, Journal, Settings, SettingsError, Step};

/// Fills until the journal says it is full; returns how many were taken.
fn fill_up(journal: &Journal) -> (u64, FullReason) {
    for n in 0..10_000 {
        match journal.reserve(1000, 1) {
            Ok(mut reservation) => {
                let ticket = reservation.ticket(NOW);
                let payload = record(ticket.offset());
                ticket.fill(payload);
                assert_eq!(journal.commit_step(), Step::Committed);
                journal.prepare_step();
            }
            Err(full) => {
                assert!(full.retry_after_ms > 0);
                return (n, full.reason);
            }
        }
    }
    panic!("never full");
}

#[test]
fn a_full_disk_refuses_before_anything_is_touched_and_ends_by_itself() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    storage.limit_space(Some(100 << 10));
    let (taken, reason) = fill_up(&journal);
    assert_eq!(reason, FullReason::Disk);
    assert_eq!(journal.next_offset(), taken, "a refusal takes no offset");
    assert!(journal.stats().prepare_failures > 0);
    assert!(journal.failure().is_none());

    storage.limit_space(None);
    journal.prepare_step();
    commit_many(&journal, 50);
    assert_eq!(read_all(&journal, 0).len() as u64, taken + 50);
}

#[test]
fn a_disk_that_fails_while_preparing_is_not_fatal() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    commit_many(&journal, 20);
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDir,
    ] {
        let failures = journal.stats().prepare_failures;
        for _ in 0..100 {
            // So that it is not the cursor file that meets the fault.
            journal.core().save_cursors().unwrap();
            storage.fail(operation, 0);
            journal.prepare_step();
            if journal.stats().prepare_failures > failures {
                break;
            }
            storage.fail(operation, u64::MAX);
            commit_many(&journal, 0);
            fill(&journal, NOW, &record(journal.next_offset()));
            journal.commit_step();
        }
        assert!(journal.failure().is_none(), "{operation:?}");
        assert!(journal.stats().prepare_failures > failures, "{operation:?}");
        journal.prepare_step();
    }
    let count = read_all(&journal, 0).len() as u64;
    assert_eq!(count, journal.durable());
}

#[test]
fn with_no_descriptor_left_it_rolls_to_the_segment_that_is_ready_then_refuses_and_resumes() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    storage.exhaust_descriptors(true);
    let (taken, reason) = fill_up(&journal);
    assert_eq!(reason, FullReason::Disk);
    let in_one_segment = small().segment_bytes / 1_000;
    assert!(taken > in_one_segment, "it rolled: {taken}");
    assert!(journal.failure().is_none());

    storage.exhaust_descriptors(false);
    journal.prepare_step();
    commit_many(&journal, 50);
    assert_eq!(read_all(&journal, 0).len() as u64, taken + 50);
}

#[test]
fn a_directory_that_cannot_be_synced_after_a_roll_is_fatal() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    storage.fail(Operation::SyncDir, 0);
    loop {
        fill(&journal, NOW, &record(journal.next_offset()));
        match journal.commit_step() {
            Step::Committed => {}
            step => {
                assert_eq!(step, Step::Ended);
                break;
            }
        }
    }
    assert!(journal.failure().is_some());
}

#[test]
fn at_the_budget_a_required_cursor_refuses_ingest_until_it_moves() {
    let storage = SimulatedStorage::new(1);
    let settings = Settings {
        disk_budget: 128 << 10,
        ..small()
    };
    let journal = stepped(&storage, settings);
    let kafka = journal.cursor("kafka", CursorClass::Required).unwrap();
    let (taken, reason) = fill_up(&journal);
    assert_eq!(reason, FullReason::Budget);
    assert!(journal.stats().disk_bytes <= 128 << 10);
    assert_eq!(journal.oldest_offset(), 0);
    kafka.advance(taken);
    journal.prepare_step();
    assert!(journal.oldest_offset() > 0);
    commit_many(&journal, 20);
}

#[test]
fn what_others_have_on_disk_counts_in_the_budget() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    journal.cursor("kafka", CursorClass::Required).unwrap();
    journal.charge("outbox", 960 << 10);
    let (with_charge, reason) = fill_up(&journal);
    assert_eq!(reason, FullReason::Budget);
    assert_eq!(journal.stats().charged_bytes, 960 << 10);
    journal.charge("outbox", 0);
    journal.prepare_step();
    let (further, _) = fill_up(&journal);
    assert!(further > with_charge * 5);
}

#[test]
fn an_opening_within_a_full_budget_takes_no_more() {
    let storage = SimulatedStorage::new(1);
    let charges = BTreeMap::from([("outbox".to_owned(), 960 << 10)]);
    let settings = Settings { charges, ..small() };
    let journal = stepped(&storage, settings.clone());
    journal.cursor("kafka", CursorClass::Required).unwrap();
    fill_up(&journal);
    let full = journal.stats().disk_bytes;
    drop(journal);
    for _ in 0..3 {
        let journal = stepped(&storage, settings.clone());
        journal.prepare_step();
        assert_eq!(fill_up(&journal), (0, FullReason::Budget));
        assert_eq!(journal.stats().disk_bytes, full);
    }
}

#[test]
fn held_bytes_are_those_that_a_saved_position_has_yet_to_pass() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let kafka = journal.cursor("kafka", CursorClass::Required).unwrap();
    let (taken, _) = fill_up(&journal);
    let full = journal.stats();
    assert!(full.held_bytes > full.disk_bytes / 2);
    assert!(full.held_bytes <= full.disk_bytes);
    kafka.advance(taken / 2);
    journal.save_cursors().unwrap();
    let half = journal.stats().held_bytes;
    assert!(half < full.held_bytes && half > full.held_bytes / 4);
    kafka.advance(taken);
    assert_eq!(journal.stats().held_bytes, half, "it is not saved yet");
    journal.save_cursors().unwrap();
    assert_eq!(journal.stats().held_bytes, 0);
}

#[test]
fn memory_is_bounded_and_waiting_for_room_ends_when_there_is_some() {
    let storage = SimulatedStorage::new(1);
    let settings = Settings {
        buffer_bytes_max: 5000,
        ..small()
    };
    let journal = stepped(&storage, settings);
    let first = journal.reserve(3000, 1).unwrap();
    assert_eq!(
        journal.reserve(3000, 1).unwrap_err().reason,
        FullReason::Buffer
    );
    let mut waiting = journal.reserve_wait(3000, 1);
    assert!(poll_once(&mut waiting).is_pending());
    drop(first);
    assert!(matches!(poll_once(&mut waiting), Poll::Ready(Ok(_))));
}

#[test]
fn what_was_reserved_always_fits_whatever_the_sizes() {
    for seed in 0..20 {
        let storage = SimulatedStorage::new(seed);
        let journal = stepped(&storage, small());
        // No further segment can be prepared: only what is there may be promised.
        storage.limit_space(Some(0));
        while let Ok(mut reservation) = journal.reserve(4096, 1) {
            let length = usize::try_from(storage.below(4097)).unwrap();
            reservation.ticket(NOW).fill(vec![1; length]);
            drop(reservation);
            if storage.below(3) == 0 {
                assert_ne!(journal.commit_step(), Step::Waiting, "seed {seed}");
            }
        }
        loop {
            match journal.commit_step() {
                Step::Committed => {}
                step => {
                    assert_eq!(step, Step::Idle, "seed {seed}");
                    break;
                }
            }
        }
        assert_eq!(journal.durable(), journal.next_offset());
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let storage = SimulatedStorage::new(1);
    let settings = Settings {
        segment_bytes: 4096,
        ..small()
    };
    let refused = super::support::try_stepped(&storage, settings).unwrap_err();
    assert!(refused.to_string().contains("segment_bytes"));
    let settings = Settings {
        buffer_bytes_max: 10,
        ..small()
    };
    assert!(matches!(
        settings.check(),
        Err(SettingsError::Buffer { .. })
    ));
}

#[test]
fn positions_that_cannot_be_saved_are_reported() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    commit_many(&journal, 3);
    fill(&journal, NOW, &record(journal.next_offset()));
    assert_eq!(journal.commit_step(), Step::Committed);
    storage.fail(Operation::Rename, 0);
    journal.prepare_step();
    assert_eq!(journal.stats().cursor_failures, 1);
    let troubles = journal.troubles();
    assert!(
        troubles[0].starts_with("cursor positions cannot be saved"),
        "{troubles:?}"
    );
    journal.prepare_step();
    assert_eq!(journal.troubles(), Vec::<String>::new());
}
