//! The queue by itself: what is sendable when, and what it asks the store to write.

use super::*;
use crate::intent::tests::intent;

fn row(profile: u128, epoch: u32, offset: u64) -> Row {
    Row::new(&intent(profile, epoch, offset), Timestamp(0))
}

fn key(profile: u128) -> Key {
    row(profile, 1, 0).key()
}

/// A queue whose store is empty.
fn queue(resident_max: usize) -> Queue {
    let mut queue = Queue::new(resident_max, Waiting::default());
    queue.refilled(None, Timestamp(0));
    queue
}

/// What putting a row in line asks the store to write beside it.
#[derive(Debug)]
struct Put {
    replaced: Option<u64>,
    due: Option<Due>,
}

fn stage(queue: &mut Queue, row: Row, due: i64, rows_max: usize) -> Put {
    let replaced = queue.coalesce(&row, rows_max);
    let due = match replaced {
        Some(_) => None,
        None => queue.stage(row, Timestamp(due)),
    };
    Put { replaced, due }
}

fn put(queue: &mut Queue, row: Row, due: i64) -> Put {
    let (key, offset) = (row.key(), row.intent.offset());
    let put = stage(queue, row, due, KEY_ROWS_MAX);
    queue.commit(&key, offset);
    put
}

fn take(queue: &mut Queue, now: i64) -> Option<(u128, u32)> {
    let (key, row) = queue.take(Timestamp(now))?;
    Some((key.profile.0, row.intent.epoch()))
}

#[test]
fn a_row_is_not_sent_before_it_is_durable() {
    let mut queue = queue(10);
    stage(&mut queue, row(1, 1, 5), 0, KEY_ROWS_MAX);
    assert_eq!(take(&mut queue, 100), None);
    queue.commit(&key(1), 5);
    assert_eq!(take(&mut queue, 100), Some((1, 1)));
}

#[test]
fn one_change_of_a_key_is_in_flight_at_a_time_and_in_order() {
    let mut queue = queue(10);
    put(&mut queue, row(1, 1, 5), 0);
    put(&mut queue, row(1, 2, 6), 0);
    put(&mut queue, row(2, 1, 7), 0);
    assert_eq!(take(&mut queue, 0), Some((1, 1)));
    assert_eq!(
        take(&mut queue, 0),
        Some((2, 1)),
        "another profile is not held up"
    );
    assert_eq!(take(&mut queue, 0), None);
    assert_eq!(
        queue.finish_removed(&key(1)),
        DueChange::default(),
        "the key is still due"
    );
    assert_eq!(take(&mut queue, 0), Some((1, 2)));
    let last = queue.finish_removed(&key(1));
    assert_eq!(last.remove, Some((Timestamp(0), 5)));
}

#[test]
fn a_failed_change_parks_its_key_only_and_moves_its_due_entry() {
    let mut queue = queue(10);
    put(&mut queue, row(1, 1, 5), 0);
    put(&mut queue, row(2, 1, 6), 0);
    let (k, failed) = queue.take(Timestamp(0)).unwrap();
    let moved = queue.finish_parked(&k, failed, Timestamp(50));
    assert_eq!(
        (moved.remove, moved.put),
        (Some((Timestamp(0), 5)), Some((Timestamp(50), 5)))
    );
    assert_eq!(take(&mut queue, 10), Some((2, 1)));
    assert_eq!(take(&mut queue, 49), None);
    assert_eq!(queue.parked(), 1);
    assert_eq!(take(&mut queue, 50), Some((1, 1)));
}

#[test]
fn behind_a_parked_change_the_latest_state_wins() {
    let mut queue = queue(10);
    put(&mut queue, row(1, 1, 5), 0);
    let (k, mut failed) = queue.take(Timestamp(0)).unwrap();
    failed.attempts = 1;
    queue.finish_parked(&k, failed, Timestamp(50));
    assert_eq!(
        put(&mut queue, row(1, 2, 6), 1).replaced,
        None,
        "the attempted one stays"
    );
    assert_eq!(put(&mut queue, row(1, 3, 7), 2).replaced, Some(6));
    assert_eq!(take(&mut queue, 50), Some((1, 1)));
    queue.finish_removed(&k);
    assert_eq!(take(&mut queue, 50), Some((1, 3)));
}

#[test]
fn within_the_linger_a_newer_change_replaces_the_older() {
    let mut queue = queue(10);
    put(&mut queue, row(1, 1, 5), 100);
    let staged = stage(&mut queue, row(1, 2, 6), 100, 1);
    assert_eq!((staged.replaced, staged.due), (Some(5), None));
    assert_eq!(
        take(&mut queue, 100),
        None,
        "the newer one is not durable yet"
    );
    queue.commit(&key(1), 6);
    assert_eq!(take(&mut queue, 99), None);
    assert_eq!(take(&mut queue, 100), Some((1, 2)));
}

#[test]
fn the_one_in_flight_is_never_replaced() {
    let mut queue = queue(10);
    put(&mut queue, row(1, 1, 5), 0);
    take(&mut queue, 0).unwrap();
    let staged = stage(&mut queue, row(1, 2, 6), 0, 1);
    assert_eq!(staged.replaced, None);
}

#[test]
fn the_same_offset_is_queued_once() {
    let mut queue = queue(10);
    put(&mut queue, row(1, 1, 5), 0);
    let staged = stage(&mut queue, row(1, 1, 5), 0, KEY_ROWS_MAX);
    assert_eq!((staged.replaced, staged.due), (Some(5), None));
    assert_eq!(queue.rows_of(&key(1)), 1);
}

#[test]
fn a_change_that_arrives_while_the_last_result_is_written_gets_its_own_due_entry() {
    let mut queue = queue(10);
    put(&mut queue, row(1, 1, 5), 0);
    take(&mut queue, 0).unwrap();
    let removed = queue.finish_removed(&key(1)).remove.unwrap();
    let staged = put(&mut queue, row(1, 2, 6), 0);
    assert_ne!(
        staged.due,
        Some(removed),
        "the late removal must not hit it"
    );
    queue.settled(&key(1), true);
    assert!(queue.knows(&key(1)));
    assert_eq!(take(&mut queue, 0), Some((1, 2)));
    queue.finish_removed(&key(1));
    queue.settled(&key(1), true);
    assert!(!queue.knows(&key(1)), "nothing is kept of a finished key");
}

#[test]
fn a_full_memory_sends_new_keys_to_the_store_and_asks_for_them_later() {
    let mut queue = queue(2);
    for profile in 1..=2 {
        assert!(!queue.takes_only_known());
        put(&mut queue, row(profile, 1, 5), 0);
    }
    assert!(queue.takes_only_known());
    queue.note_outside(Timestamp(0));
    assert!(
        !queue.wants_refill(Timestamp(1)),
        "what is here comes first"
    );
    for profile in 1..=2 {
        take(&mut queue, 1).unwrap();
        queue.finish_removed(&key(profile));
        queue.settled(&key(profile), true);
    }
    assert!(queue.wants_refill(Timestamp(1)));
    assert!(!queue.wants_refill(Timestamp(1)), "asked once");
    assert!(queue.load(key(3), (Timestamp(0), 9), vec![row(3, 1, 9)]));
    queue.refilled(None, Timestamp(0));
    assert!(!queue.takes_only_known());
    assert_eq!(take(&mut queue, 1), Some((3, 1)));
}

#[test]
fn keys_that_wait_make_room_for_keys_that_are_due() {
    let mut queue = queue(4);
    for profile in 1..=4 {
        put(&mut queue, row(profile, 1, 5), 0);
        let (k, failed) = queue.take(Timestamp(0)).unwrap();
        queue.finish_parked(&k, failed, Timestamp(60_000));
        queue.settled(&k, false);
    }
    assert!(queue.takes_only_known());
    queue.note_outside(Timestamp(10));
    assert!(queue.wants_refill(Timestamp(10)));
    queue.evict_waiting(Timestamp(10));
    assert!(queue.load(key(9), (Timestamp(10), 9), vec![row(9, 1, 9)]));
    assert_eq!(take(&mut queue, 10), Some((9, 1)));
}

#[test]
fn a_key_keeps_its_first_rows_and_the_newest() {
    let mut queue = queue(10);
    put(&mut queue, row(1, 1, 1), 0);
    take(&mut queue, 0).unwrap();
    let mut replaced = Vec::new();
    for epoch in 2..=2_000 {
        replaced.extend(put(&mut queue, row(1, epoch, epoch.into()), 0).replaced);
    }
    assert_eq!(replaced, (4..2_000).collect::<Vec<_>>());
    assert_eq!(queue.rows_of(&key(1)), 4);
    let mut sent = Vec::new();
    loop {
        queue.finish_removed(&key(1));
        queue.settled(&key(1), true);
        let Some((_, epoch)) = take(&mut queue, 0) else {
            break;
        };
        sent.push(epoch);
    }
    assert_eq!(sent, [2, 3, 2_000]);
    assert!(!queue.knows(&key(1)) && queue.rows_of(&key(1)) == 0);
}

#[test]
fn a_batch_of_one_key_is_replaced_before_it_is_written() {
    let mut queue = queue(10);
    for epoch in 1..=6 {
        stage(&mut queue, row(1, epoch, epoch.into()), 0, KEY_ROWS_MAX);
    }
    for offset in [1, 2, 3, 6] {
        assert_eq!(take(&mut queue, 0), None, "not durable");
        queue.commit(&key(1), offset);
        assert_eq!(
            take(&mut queue, 0),
            Some((1, u32::try_from(offset).unwrap()))
        );
        queue.finish_removed(&key(1));
    }
}

#[test]
fn a_key_outside_memory_is_due_once() {
    let mut queue = queue(1);
    let due = (Timestamp(5), 7);
    assert_eq!(queue.stage_outside(key(1), due), Some(due));
    assert_eq!(queue.stage_outside(key(1), (Timestamp(6), 8)), None);
    queue.removed(&key(1), 2);
    assert_eq!(queue.stage_outside(key(1), due), Some(due));
}
