use std::task::Poll;

use tidegate_event::Timestamp;

use super::support::{NOW, fill, poll_once, read_all, real, small, stepped, wait};
use crate::storage::simulated::{Operation, SimulatedStorage};
use crate::{Fatal, FullReason, Step};

#[test]
fn a_record_is_acked_read_back_and_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let journal = real(dir.path());
    let id = journal.id().to_owned();
    let offset = fill(&journal, NOW, b"hello");
    wait(journal.wait_durable(offset)).unwrap();
    assert_eq!(read_all(&journal, 0), [(0, NOW.0, b"hello".to_vec())]);
    journal.shutdown();

    let journal = real(dir.path());
    assert_eq!(journal.id(), id);
    assert_eq!((journal.durable(), journal.next_offset()), (1, 1));
    assert_eq!(read_all(&journal, 0), [(0, NOW.0, b"hello".to_vec())]);
}

#[test]
fn many_writers_get_contiguous_offsets_and_their_own_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let journal = real(dir.path());
    let writers = (0..8u8).map(|writer| {
        let journal = journal.clone();
        std::thread::spawn(move || {
            let mut written = Vec::new();
            for n in 0..200u16 {
                let payload = vec![writer; usize::from(n) % 500];
                let mut reservation = wait(journal.reserve_wait(payload.len(), 1)).unwrap();
                let ticket = reservation.ticket(NOW);
                let offset = ticket.offset();
                ticket.fill(payload.clone());
                wait(journal.wait_durable(offset)).unwrap();
                written.push((offset, NOW.0, payload));
            }
            written
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut written: Vec<_> = writers
        .into_iter()
        .flat_map(|w| w.join().unwrap())
        .collect();
    written.sort();
    assert_eq!(read_all(&journal, 0), written);
    let stats = journal.stats();
    assert_eq!(
        (stats.records, stats.durable, stats.unwritten_bytes),
        (1600, 1600, 0)
    );
    assert_eq!(stats.reserved_bytes, 0);
    assert_eq!(stats.sync_us.iter().sum::<u64>(), stats.batches);
}

#[test]
fn nothing_is_durable_before_the_sync() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let offset = fill(&journal, NOW, b"a");
    let mut acked = journal.wait_durable(offset);
    assert!(poll_once(&mut acked).is_pending());
    assert!(read_all(&journal, 0).is_empty());
    let before = storage.syncs();
    assert_eq!(journal.commit_step(), Step::Committed);
    assert_eq!(storage.syncs(), before + 1, "one sync a batch");
    assert!(matches!(poll_once(&mut acked), Poll::Ready(Ok(()))));
    assert_eq!(journal.commit_step(), Step::Idle);
}

#[test]
fn a_ticket_dropped_unfilled_stalls_nobody_and_its_offset_counts() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let mut reservation = journal.reserve(100, 2).unwrap();
    let lost = reservation.ticket(NOW);
    reservation.ticket(NOW).fill(b"kept".to_vec());
    assert_eq!(journal.commit_step(), Step::Idle, "the first is still out");
    drop(lost);
    assert_eq!(journal.commit_step(), Step::Committed);
    assert_eq!(journal.durable(), 2);
    assert_eq!(read_all(&journal, 0), [(1, NOW.0, b"kept".to_vec())]);
}

#[test]
fn time_survives_a_restart_even_when_the_clock_steps_back() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    fill(&journal, Timestamp(5_000), b"a");
    journal.commit_step();
    drop(journal);
    let journal = stepped(&storage, small());
    fill(&journal, Timestamp(10), b"b");
    journal.commit_step();
    let times: Vec<_> = read_all(&journal, 0)
        .into_iter()
        .map(|(_, at, _)| at)
        .collect();
    assert_eq!(times, [5_000, 5_000]);
}

#[test]
fn a_failed_write_or_sync_ends_acks_for_good() {
    for operation in [Operation::Write, Operation::Sync] {
        let storage = SimulatedStorage::new(1);
        let journal = stepped(&storage, small());
        let mut fatal = journal.on_fatal();
        assert!(poll_once(&mut fatal).is_pending());
        let offset = fill(&journal, NOW, b"a");
        storage.fail(operation, 0);
        assert_eq!(journal.commit_step(), Step::Ended);
        assert!(matches!(
            wait(journal.wait_durable(offset)),
            Err(Fatal::Io(_))
        ));
        assert!(matches!(wait(fatal), Fatal::Io(_)));
        assert_eq!(
            journal.reserve(1, 1).unwrap_err().reason,
            FullReason::Closed
        );
        assert_eq!((journal.commit_step(), journal.durable()), (Step::Ended, 0));
    }
}

#[test]
fn shutdown_commits_what_is_filled_and_refuses_what_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let journal = real(dir.path());
    let offset = fill(&journal, NOW, b"last");
    journal.shutdown();
    wait(journal.wait_durable(offset)).unwrap();
    assert!(matches!(
        wait(journal.wait_durable(offset + 1)),
        Err(Fatal::Closed)
    ));
    assert!(matches!(
        wait(journal.reserve_wait(1, 1)),
        Err(Fatal::Closed)
    ));
    wait(journal.wait_past(1_000));
    assert_eq!(read_all(&real(dir.path()), 0).len(), 1);
}

#[test]
fn wait_past_resolves_when_a_later_offset_is_durable() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let mut past = journal.wait_past(0);
    assert!(poll_once(&mut past).is_pending());
    fill(&journal, NOW, b"a");
    journal.commit_step();
    assert!(poll_once(&mut past).is_ready());
    assert!(poll_once(&mut journal.wait_past(1)).is_pending());
}
