use super::support::{NOW, commit_many, fill, read_all, record, small, stepped};
use crate::storage::Storage;
use crate::storage::simulated::SimulatedStorage;
use crate::{CursorClass, CursorError, Journal, ReadError, Settings};

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
    let names = storage
        .list(&super::support::data_dir().join("journal"))
        .unwrap();
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
