use std::sync::Arc;

use super::support::{NOW, commit_many, data_dir, fill, read_all, record, small, stepped};
use crate::storage::Storage;
use crate::storage::simulated::SimulatedStorage;
use crate::{CursorClass, CursorError, Journal, ReadError, Settings, Snapshot, Step};

fn later(journal: &Journal) {
    journal.observe_time(NOW.plus_ms(1_000_000));
    journal.prepare_step();
}

#[test]
fn a_segment_goes_when_it_is_old_and_every_required_cursor_has_passed_it() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let cursor = journal.cursor("checkpoint", CursorClass::Required).unwrap();
    commit_many(&journal, 100);
    later(&journal);
    assert_eq!(journal.oldest_offset(), 0, "the cursor holds it");
    cursor.advance(60);
    later(&journal);
    let oldest = journal.oldest_offset();
    assert!(oldest > 0 && oldest <= 60);
    assert!(
        matches!(journal.reader(0), Err(ReadError::Retired { wanted: 0, oldest: o }) if o == oldest)
    );
    let kept = read_all(&journal, oldest);
    assert!(
        kept.iter()
            .all(|(offset, _, payload)| *payload == record(*offset))
    );
    assert_eq!(kept.len() as u64, 100 - oldest);
}

#[test]
fn a_young_segment_stays_although_nobody_needs_it() {
    let storage = SimulatedStorage::new(1);
    let settings = Settings {
        retention_ms: 1_000_000_000,
        ..small()
    };
    let journal = stepped(&storage, settings);
    commit_many(&journal, 100);
    later(&journal);
    assert_eq!(journal.oldest_offset(), 0);
}

#[test]
fn best_effort_cursors_are_moved_forward_with_a_counted_gap() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let lake = journal.cursor("lake", CursorClass::BestEffort).unwrap();
    commit_many(&journal, 30);
    lake.advance(5);
    commit_many(&journal, 70);
    later(&journal);
    let oldest = journal.oldest_offset();
    assert_eq!(lake.position(), oldest);
    let info = &journal.cursors()[0];
    assert_eq!((info.gaps >= 1, info.lost_records), (true, oldest - 5));
    drop((journal, lake));
    let journal = stepped(&storage, small());
    assert_eq!(
        journal.cursors()[0].lost_records,
        oldest - 5,
        "the count survives a restart"
    );
}

#[test]
fn ephemeral_cursors_hold_nothing_and_are_forgotten() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    commit_many(&journal, 3);
    let live = journal.cursor("live", CursorClass::Ephemeral).unwrap();
    assert_eq!((live.position(), live.lag()), (3, 0));
    drop((journal, live));
    assert!(stepped(&storage, small()).cursors().is_empty());
}

#[test]
fn a_cursor_keeps_its_position_over_a_restart_and_never_goes_back_or_ahead() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let cursor = journal.cursor("kafka", CursorClass::Required).unwrap();
    commit_many(&journal, 10);
    cursor.advance(7);
    cursor.advance(3);
    assert_eq!((cursor.position(), cursor.lag()), (7, 3));
    cursor.advance(1_000);
    assert_eq!(cursor.position(), 10, "never past the durable watermark");
    journal.prepare_step();
    storage.crash();
    drop((journal, cursor));
    let journal = stepped(&storage, small());
    assert_eq!(
        journal
            .cursor("kafka", CursorClass::Required)
            .unwrap()
            .position(),
        10
    );
}

#[test]
fn a_dropped_cursor_holds_nothing() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    journal.cursor("old", CursorClass::Required).unwrap();
    commit_many(&journal, 100);
    later(&journal);
    assert_eq!(journal.oldest_offset(), 0);
    journal.drop_cursor("old").unwrap();
    assert!(matches!(
        journal.drop_cursor("old"),
        Err(CursorError::Unknown)
    ));
    later(&journal);
    assert!(journal.oldest_offset() > 0);
    assert!(matches!(
        journal.cursor("No Good", CursorClass::Required),
        Err(CursorError::Name)
    ));
}

#[test]
fn a_cursor_that_is_followed_is_not_dropped() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let checkpoint = journal.cursor("checkpoint", CursorClass::Required).unwrap();
    let refused = journal.drop_cursor("checkpoint");
    assert!(matches!(refused, Err(CursorError::InUse)), "{refused:?}");
    commit_many(&journal, 100);
    later(&journal);
    assert_eq!(journal.oldest_offset(), 0, "it still holds its segments");
    drop(checkpoint);
    journal.drop_cursor("checkpoint").unwrap();
}

#[test]
fn a_retired_file_is_used_again_and_the_disk_does_not_grow() {
    let storage = SimulatedStorage::new(1);
    let settings = Settings {
        disk_budget: 128 << 10,
        ..small()
    };
    let journal = stepped(&storage, settings);
    commit_many(&journal, 500);
    let stats = journal.stats();
    assert!(
        stats.retired > 10 && stats.disk_bytes <= 128 << 10,
        "{stats:?}"
    );
    let names = storage.list(&data_dir().join("journal")).unwrap();
    assert!(names.len() <= 4, "{names:?}");
    let oldest = journal.oldest_offset();
    assert_eq!(read_all(&journal, oldest).len() as u64, 500 - oldest);
    drop(journal);
    let journal = stepped(
        &storage,
        Settings {
            disk_budget: 128 << 10,
            ..small()
        },
    );
    let again = read_all(&journal, journal.oldest_offset());
    assert!(
        again
            .iter()
            .all(|(offset, _, payload)| *payload == record(*offset))
    );
    fill(&journal, NOW, b"on it goes");
    journal.commit_step();
    assert_eq!(journal.durable(), 501);
}

/// Commits one record decided at `at`, and keeps house as every second does.
fn one_at(journal: &Journal, at: tidegate_event::Timestamp) {
    fill(journal, at, b"one");
    assert_eq!(journal.commit_step(), Step::Committed);
    journal.observe_time(at);
    journal.prepare_step();
    journal.prepare_step();
}

#[test]
fn a_quiet_journal_lets_old_records_go() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    // A record each 200 ms, with a retention of a second: never enough to fill a segment.
    for n in 0..50 {
        one_at(&journal, NOW.plus_ms(n * 200));
        let kept = journal.durable() - journal.oldest_offset();
        assert!(kept <= 10, "{kept} records kept after {n}");
    }
    assert!(journal.oldest_offset() >= 40, "{}", journal.oldest_offset());
}

#[test]
fn a_silent_journal_lets_its_last_record_go() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    one_at(&journal, NOW);
    assert_eq!(journal.oldest_offset(), 0);
    later(&journal);
    later(&journal);
    assert_eq!(journal.oldest_offset(), 1);
    // Empty, it stays as it is.
    let stats = journal.stats();
    later(&journal);
    assert_eq!(journal.stats(), stats);
}

#[test]
fn a_restart_remembers_how_old_the_active_segment_is() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    one_at(&journal, NOW);
    drop(journal);
    let journal = stepped(&storage, small());
    later(&journal);
    later(&journal);
    assert_eq!(journal.oldest_offset(), 1);
}

#[test]
fn an_old_segment_stays_open_where_the_budget_is_short() {
    let storage = SimulatedStorage::new(1);
    let settings = Settings {
        disk_budget: 64 << 10,
        ..small()
    };
    let journal = stepped(&storage, settings);
    let cursor = journal.cursor("checkpoint", CursorClass::Required).unwrap();
    one_at(&journal, NOW);
    later(&journal);
    assert!(journal.reserve(4 << 10, 1).is_ok());
    assert_eq!((journal.oldest_offset(), cursor.position()), (0, 0));
}

/// Reads to the error.
fn overtaken(reader: &mut crate::Reader) -> ReadError {
    loop {
        match reader.next_below(u64::MAX) {
            Ok(Some(frame)) => assert_eq!(frame.payload, record(frame.offset)),
            Ok(None) => panic!("it cannot have caught up"),
            Err(error) => return error,
        }
    }
}

#[test]
fn a_snapshot_reader_that_retention_overtook_says_so() {
    // Larger than what a reader takes at once: it still reads a file that is used again.
    for segment_bytes in [32 << 10, 2 << 20] {
        let storage = SimulatedStorage::new(1);
        let settings = Settings {
            segment_bytes,
            disk_budget: 4 * segment_bytes,
            ..small()
        };
        let journal = stepped(&storage, settings);
        let per_segment = segment_bytes / 1_100;
        commit_many(&journal, per_segment * 2);
        let snapshot = Snapshot::open(&data_dir(), Arc::new(storage.clone())).unwrap();
        let mut reader = snapshot.reader(0).unwrap();
        assert!(reader.next_below(u64::MAX).unwrap().is_some());
        later(&journal);
        commit_many(&journal, per_segment * 3);
        let error = overtaken(&mut reader);
        let ReadError::Retired { wanted, oldest } = error else {
            panic!("segments of {segment_bytes} bytes: {error}");
        };
        assert!(wanted < oldest && oldest == journal.oldest_offset());
    }
}
