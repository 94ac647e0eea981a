//! The loop, step by step, on a journal that is committed by hand.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tidegate_event::record::{Fold, PAYLOAD_VERSION, Record, TransitionRef};
use tidegate_event::{Change, ProfileId, Purposes, SegmentId, Timestamp};
use tidegate_journal::Journal;
use tidegate_journal::storage::simulated::SimulatedStorage;

use super::*;
use crate::unreadable::{Consumer, DIR, Unreadable};

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
        assert!(batch.iter().all(|intent| intent.offset() < next));
        let at_once = state.at_once.unwrap_or(batch.len()).min(batch.len());
        state
            .taken
            .extend(batch[..at_once].iter().map(|one| one.offset()));
        state.cursor = batch.get(at_once).map_or(next, |first| first.offset());
        Ok(state.cursor)
    }

    fn follow(&self, next: u64) -> Result<(), &'static str> {
        let mut state = self.0.lock();
        state.cursor = state.cursor.max(next);
        Ok(())
    }
}

struct World {
    journal: Journal,
    outbox: Fake,
    dir: TempDir,
    registry: Mutex<Registry>,
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
            dir: tempfile::tempdir().unwrap(),
            registry: Mutex::default(),
        }
    }

    fn follower(&self) -> Follower<Fake> {
        let cursor = self.journal.cursor(CURSOR, CursorClass::Required).unwrap();
        let unreadable = Unreadable::new(self.dir.path(), &mut self.registry.lock());
        let source = Source::new(self.journal.clone(), unreadable, Consumer::Activation);
        Follower::new(source, self.outbox.clone(), cursor)
    }

    /// Records with a change each; they are durable after the next commit.
    fn fill(&self, count: usize) {
        for _ in 0..count {
            fill(&self.journal);
        }
    }

    /// A record as an erring build may write it.
    fn fill_bytes(&self, payload: &[u8]) {
        let mut reservation = self.journal.reserve(1_024, 1).unwrap();
        reservation.ticket(Timestamp(1_000)).fill(payload.to_vec());
    }

    /// Whether one unreadable record is counted.
    fn passed_over(&self) -> bool {
        let mut all = String::new();
        text::encode(&mut all, &self.registry.lock()).unwrap();
        let line = "tidegate_unreadable_records_total{consumer=\"activation\"} 1";
        all.lines().any(|found| found == line)
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
        purposes: Purposes::GRANTED,
        transitions: vec![TransitionRef::new(SegmentId(1), "buyers", Change::Enter, 1)],
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
fn what_finds_no_capacity_is_handed_in_again() {
    let world = World::new();
    world.outbox.0.lock().at_once = Some(2);
    world.fill(5);
    world.journal.commit_step();
    let mut follower = world.follower();
    assert_eq!(follower.step(), Next::WaitCapacity);
    assert_eq!(follower.step(), Next::WaitCapacity, "it took two of five");
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
    assert_eq!(follower.step(), Next::WaitCapacity);
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

#[test]
fn an_unreadable_record_is_set_aside_whole() {
    let world = World::new();
    world.fill(2);
    world.fill_bytes(b"\x02no record");
    world.fill(2);
    world.journal.commit_step();
    let mut follower = world.follower();
    run(&mut follower);
    assert_eq!(world.outbox.0.lock().taken, [0, 1, 3, 4]);
    assert_eq!(world.position(), 5);
    assert!(world.passed_over());
    let name = format!("{}-2.record", world.journal.id());
    let kept = std::fs::read(world.dir.path().join(DIR).join(name)).unwrap();
    assert!(kept.ends_with(b"\n\x02no record"));
    let head = String::from_utf8(kept).unwrap();
    assert!(head.contains(r#""offset":2"#), "{head}");
}

#[test]
fn a_failed_batch_counts_an_unreadable_record_once() {
    let world = World::new();
    world.fill_bytes(b"\x02no record");
    world.fill(1);
    world.journal.commit_step();
    world.outbox.0.lock().fails = true;
    let mut follower = world.follower();
    run(&mut follower);
    assert_eq!(world.outbox.0.lock().taken, [1]);
    assert!(world.passed_over());
}

#[test]
fn a_record_of_a_newer_format_is_not_passed() {
    let world = World::new();
    world.fill(2);
    world.fill_bytes(&[PAYLOAD_VERSION + 1, 1, 2, 3]);
    world.fill(1);
    world.journal.commit_step();
    let mut follower = world.follower();
    for _ in 0..10 {
        follower.step();
    }
    // What stands before it is handed in.
    assert_eq!(world.outbox.0.lock().taken, [0, 1]);
    assert_eq!(world.position(), 2);
    assert!(!world.dir.path().join(DIR).exists());
}

#[test]
fn a_record_that_cannot_be_kept_is_not_passed() {
    let world = World::new();
    // No directory can be made there.
    std::fs::write(world.dir.path().join(DIR), "").unwrap();
    world.fill_bytes(b"\x02no record");
    world.fill(1);
    world.journal.commit_step();
    let mut follower = world.follower();
    assert_eq!(follower.step(), Next::Pause(BACKOFF_MS));
    std::fs::remove_file(world.dir.path().join(DIR)).unwrap();
    run(&mut follower);
    assert_eq!(world.outbox.0.lock().taken, [1]);
}

#[test]
fn changes_that_an_older_outbox_lacks_are_handed_in_again() {
    let world = World::new();
    world.fill(5);
    world.journal.commit_step();
    let mut follower = world.follower();
    run(&mut follower);
    drop(follower);
    assert_eq!(world.position(), 5);
    // As it was when it had taken two.
    {
        let mut state = world.outbox.0.lock();
        state.cursor = 2;
        state.taken.truncate(2);
    }
    run(&mut world.follower());
    assert_eq!(world.outbox.0.lock().taken, [0, 1, 2, 3, 4]);
}

#[test]
fn a_stop_leaves_the_outbox_at_the_cursors_position() {
    let world = World::new();
    world.outbox.0.lock().unwanted = true;
    world.fill(3);
    world.journal.commit_step();
    let mut follower = world.follower();
    run(&mut follower);
    assert_eq!(
        world.outbox.cursor(),
        0,
        "three records are not worth a write"
    );
    follower.end();
    drop(follower);
    assert_eq!(world.outbox.cursor(), 3);
    // A destination that came meanwhile gets what is decided from now on.
    world.outbox.0.lock().unwanted = false;
    world.fill(1);
    world.journal.commit_step();
    run(&mut world.follower());
    assert_eq!(world.outbox.0.lock().taken, [3]);
}
