use super::support::{NOW, commit_many, data_dir, read_all, real, record, small, stepped, wait};
use crate::storage::simulated::SimulatedStorage;
use crate::{CursorClass, ReadError, RealStorage, Settings, Snapshot};
use std::sync::Arc;

#[test]
fn a_reader_follows_across_segments_from_any_offset() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let mut following = journal.reader(0).unwrap();
    for round in 0..100 {
        commit_many(&journal, 1);
        let frame = following.next_below(u64::MAX).unwrap().unwrap();
        assert_eq!((frame.offset, frame.payload), (round, &record(round)[..]));
        assert!(following.next_below(u64::MAX).unwrap().is_none());
        assert_eq!(following.position(), round + 1);
    }
    for from in 0..=100 {
        let read = read_all(&journal, from);
        assert_eq!(read.first().map_or(100, |(offset, _, _)| *offset), from);
        assert_eq!(read.len() as u64, 100 - from);
    }
}

#[test]
fn a_read_ends_at_its_bound_although_more_is_durable() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    commit_many(&journal, 2);
    let bound = journal.durable();
    let mut reader = journal.reader(0).unwrap();
    assert_eq!(reader.next_below(bound).unwrap().unwrap().offset, 0);
    // Another commit lands between two reads of one round.
    commit_many(&journal, 1);
    assert_eq!(reader.next_below(bound).unwrap().unwrap().offset, 1);
    assert!(reader.next_below(bound).unwrap().is_none());
    assert_eq!(reader.position(), bound);
    let bound = journal.durable();
    assert_eq!(reader.next_below(bound).unwrap().unwrap().offset, 2);
}

#[test]
fn a_reader_that_retention_overtook_is_told_the_oldest_offset() {
    let storage = SimulatedStorage::new(1);
    let settings = Settings {
        disk_budget: 128 << 10,
        ..small()
    };
    let journal = stepped(&storage, settings);
    commit_many(&journal, 10);
    let mut reader = journal.reader(0).unwrap();
    reader.next_below(u64::MAX).unwrap();
    commit_many(&journal, 300);
    let overtaken = loop {
        match reader.next_below(u64::MAX) {
            Ok(Some(frame)) => assert_eq!(frame.payload, record(frame.offset)),
            Ok(None) => panic!("it cannot have caught up"),
            Err(error) => break error,
        }
    };
    let oldest = journal.oldest_offset();
    assert!(matches!(overtaken, ReadError::Retired { oldest: told, .. } if told == oldest));
}

#[test]
fn another_process_sees_the_records_below_the_mark_without_a_lock() {
    let dir = tempfile::tempdir().unwrap();
    let journal = real(dir.path());
    let cursor = journal.cursor("kafka", CursorClass::Required).unwrap();
    let mut last = 0;
    for n in 0..100 {
        // The preparer may be a moment behind.
        let mut reservation = wait(journal.reserve_wait(1000, 1)).unwrap();
        let ticket = reservation.ticket(NOW);
        last = ticket.offset();
        ticket.fill(record(n));
        wait(journal.wait_durable(last)).unwrap();
    }
    cursor.advance(40);
    let snapshot = Snapshot::open(dir.path(), Arc::new(RealStorage)).unwrap();
    assert_eq!(snapshot.id(), journal.id());
    let mut reader = snapshot.reader(0).unwrap();
    let mut seen = 0;
    while let Some(frame) = reader.next_below(u64::MAX).unwrap() {
        assert_eq!((frame.offset, frame.payload), (seen, &record(seen)[..]));
        seen += 1;
    }
    assert!(seen >= last, "all but the last batch at least, got {seen}");
    journal.shutdown();
    let tail = std::iter::from_fn(|| {
        reader
            .next_below(u64::MAX)
            .unwrap()
            .map(|frame| frame.offset)
    })
    .last();
    assert_eq!(
        tail.map_or(seen, |offset| offset + 1),
        100,
        "the mark is written on shutdown"
    );
    let snapshot = Snapshot::open(dir.path(), Arc::new(RealStorage)).unwrap();
    assert_eq!((snapshot.durable(), snapshot.oldest()), (100, 0));
    assert_eq!(snapshot.cursors().unwrap()[0].position, 40);
}

#[test]
fn a_snapshot_never_shows_what_is_not_known_to_be_durable() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let open = || Snapshot::open(&data_dir(), Arc::new(storage.clone())).unwrap();
    commit_many(&journal, 1);
    assert_eq!(open().durable(), 0, "no later header says so yet");
    journal.mark_step();
    assert_eq!(open().durable(), 1);
    commit_many(&journal, 2);
    assert_eq!(open().durable(), 2);
    let mut reader = open().reader(0).unwrap();
    assert_eq!(
        std::iter::from_fn(|| reader.next_below(u64::MAX).unwrap().map(|f| f.offset)).count(),
        2
    );
}

#[test]
fn a_directory_without_a_journal_is_said_to_be_one() {
    let dir = tempfile::tempdir().unwrap();
    let absent = Snapshot::open(dir.path(), Arc::new(RealStorage)).unwrap_err();
    assert!(absent.to_string().starts_with("there is no journal in"));
}
