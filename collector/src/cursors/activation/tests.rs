//! The loop, step by step, on a journal that is committed by hand.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_event::record::{Fold, Record, TransitionRef};
use tidegate_event::{Change, ProfileId, SegmentId, Timestamp};
use tidegate_journal::storage::simulated::SimulatedStorage;

use super::*;

/// Takes everything, or less, or nothing.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    cursor: u64,
    taken: Vec<u64>,
    /// Changes taken at once.
    at_once: Option<usize>,
    fails: bool,
    unwanted: bool,
}

impl Outbox for Fake {
    type Error = &'static str;

    fn wants_nothing(&self) -> bool {
        self.0.lock().unwanted
    }

    fn cursor(&self) -> u64 {
        self.0.lock().cursor
    }

    fn hand_in(&self, batch: &[Intent], next: u64) -> Result<u64, &'static str> {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.fails) {
            return Err("as the test wants it");
        }
        assert!(batch.iter().all(|intent| intent.offset < next));
        let at_once = state.at_once.unwrap_or(batch.len()).min(batch.len());
        state
            .taken
            .extend(batch[..at_once].iter().map(|one| one.offset));
        state.cursor = batch.get(at_once).map_or(next, |first| first.offset);
        Ok(state.cursor)
    }
}

struct World {
    journal: Journal,
    outbox: Fake,
}

impl World {
    fn new() -> Self {
        let settings = tidegate_journal::Settings {
            segment_bytes: 4 << 20,
            ..tidegate_journal::Settings::default()
        };
        let storage = Arc::new(SimulatedStorage::new(1));
        let journal = Journal::open_stepped(Path::new("/sim"), storage, settings).unwrap();
        journal.prepare_step();
        Self {
            journal,
            outbox: Fake::default(),
        }
    }

    fn follower(&self) -> Follower<Fake> {
        let cursor = self.journal.cursor(CURSOR, CursorClass::Required).unwrap();
        Follower::new(
            Source::new(self.journal.clone()),
            self.outbox.clone(),
            cursor,
        )
    }

    /// Records with a change each; they are durable after the next commit.
    fn fill(&self, count: usize) {
        for _ in 0..count {
            fill(&self.journal);
        }
    }

    fn position(&self) -> u64 {
        self.journal.cursors()[0].position
    }
}

fn fill(journal: &Journal) {
    let mut reservation = journal.reserve(1_024, 1).unwrap();
    let ticket = reservation.ticket(Timestamp(1_000));
    let record = Record {
        generation: 1,
        decided_at: ticket.decided_at(),
        profile: Some(ProfileId(1)),
        anonymous_id: None,
        user_id: None,
        source: "shop",
        kind: "page",
        event: "page",
        message_id: "m",
        event_time: Timestamp(900),
        dispatch: true,
        transitions: vec![TransitionRef {
            id: SegmentId(1),
            segment: "buyers",
            change: Change::Enter,
            epoch: 1,
            reason: None,
            profile: None,
            overdue: false,
        }],
        fold: Fold::Erased,
    };
    let json = |out: &mut Vec<u8>| out.extend_from_slice(br#""schema":1}"#);
    ticket.fill(record.write(Vec::new(), json).unwrap());
}

/// Steps until it waits for more records; fails where it never does.
fn run(follower: &mut Follower<Fake>) -> u64 {
    for _ in 0..100 {
        if let Next::WaitPast(offset) = follower.step() {
            return offset;
        }
    }
    panic!("100 steps, and it does not wait");
}

#[test]
fn a_commit_between_two_reads_stalls_nothing() {
    let world = World::new();
    let mut follower = world.follower();
    world.fill(1);
    world.journal.commit_step();
    // From here on each look at the journal is followed by a commit.
    let left = Arc::new(Mutex::new(20));
    follower.source.meanwhile = Some(Box::new(move |journal: &Journal| {
        let mut left = left.lock();
        if *left > 0 {
            *left -= 1;
            fill(journal);
            journal.commit_step();
        }
    }));
    while run(&mut follower) < world.journal.durable() {}
    assert_eq!(world.outbox.0.lock().taken, (0..21).collect::<Vec<_>>());
    assert_eq!((world.position(), world.outbox.cursor()), (21, 21));
}

#[test]
fn what_finds_no_room_is_handed_in_again() {
    let world = World::new();
    world.outbox.0.lock().at_once = Some(2);
    world.fill(5);
    world.journal.commit_step();
    let mut follower = world.follower();
    assert_eq!(follower.step(), Next::WaitRoom);
    assert_eq!(follower.step(), Next::WaitRoom, "it took two of five");
    assert_eq!(world.position(), 2);
    run(&mut follower);
    assert_eq!(world.outbox.0.lock().taken, [0, 1, 2, 3, 4]);
}

#[test]
fn a_failed_hand_in_is_read_again_after_a_pause() {
    let world = World::new();
    world.outbox.0.lock().fails = true;
    world.fill(3);
    world.journal.commit_step();
    let mut follower = world.follower();
    assert_eq!(follower.step(), Next::WaitRoom);
    assert_eq!(follower.step(), Next::Pause(BACKOFF_MS));
    assert_eq!(world.position(), 0);
    run(&mut follower);
    assert_eq!(world.outbox.0.lock().taken, [0, 1, 2]);
    assert_eq!(world.position(), 3);
}

#[test]
fn without_destinations_records_are_passed_over() {
    let world = World::new();
    world.outbox.0.lock().unwanted = true;
    world.fill(3);
    world.journal.commit_step();
    let mut follower = world.follower();
    assert_eq!(run(&mut follower), 3);
    assert_eq!(world.position(), 3);
    world.outbox.0.lock().unwanted = false;
    world.fill(1);
    world.journal.commit_step();
    run(&mut follower);
    assert_eq!(world.outbox.0.lock().taken, [3]);
    follower.end();
    assert_eq!(follower.step(), Next::Done);
}
