use std::sync::Arc;

use super::support::{
    NOW, commit_many, data_dir, fill, read_all, real, record, small, stepped, try_stepped,
};
use crate::frame::BatchHeader;
use crate::storage::Storage;
use crate::storage::simulated::SimulatedStorage;
use crate::{Journal, OpenError, RealStorage, Step};

#[test]
fn a_second_opener_is_refused_with_the_pid_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let journal = real(dir.path());
    let refused = Journal::open(dir.path(), Arc::new(RealStorage), small()).unwrap_err();
    let me = std::process::id();
    assert!(matches!(refused, OpenError::Locked { pid: Some(pid), .. } if pid == me));
    drop(journal);
    real(dir.path());
}

#[test]
fn a_torn_tail_is_cut_and_its_offsets_are_given_again() {
    let mut torn = 0;
    for seed in 0..60 {
        let storage = SimulatedStorage::new(seed);
        let journal = stepped(&storage, small());
        commit_many(&journal, 5);
        for n in 5..10 {
            fill(&journal, NOW, &record(n));
        }
        // The batch is written; the power goes before its sync.
        storage.lose_power_after(1);
        assert_eq!(journal.commit_step(), Step::Ended);
        storage.crash();
        drop(journal);
        let journal = stepped(&storage, small());
        let next = journal.next_offset();
        assert!(
            next == 5 || next == 10,
            "a batch is there as a whole or not at all: {next}"
        );
        torn += u32::from(next == 5);
        commit_many(&journal, 30);
        let read = read_all(&journal, 0);
        assert!(
            read.iter()
                .all(|(offset, _, payload)| *payload == record(*offset))
        );
        assert_eq!(read.len() as u64, next + 30);
    }
    assert!((1..60).contains(&torn), "both ends were seen: {torn}");
}

#[test]
fn recovery_that_is_interrupted_is_simply_done_again() {
    for steps in 0..40 {
        let storage = SimulatedStorage::new(steps);
        let journal = stepped(&storage, small());
        commit_many(&journal, 40);
        fill(&journal, NOW, b"unacked");
        storage.lose_power_after(1);
        journal.commit_step();
        storage.crash();
        storage.lose_power_after(steps);
        drop(try_stepped(&storage, small()));
        storage.crash();
        drop(journal);
        let journal = stepped(&storage, small());
        assert!(journal.durable() >= 40, "after {steps} steps");
        assert!(
            read_all(&journal, 0)
                .iter()
                .take(40)
                .all(|(o, _, p)| *p == record(*o))
        );
    }
}

#[test]
fn a_newer_format_is_refused_by_name_and_not_called_corrupt() {
    let storage = SimulatedStorage::new(1);
    drop(stepped(&storage, small()));
    let path = data_dir().join("journal/00000000000000000000.seg");
    let file = storage.open(&path).unwrap();
    let mut prologue = [0; 16];
    file.read_at(&mut prologue, 0).unwrap();
    prologue[8] = 7;
    let crc = crc32fast::hash(&prologue[..12]);
    prologue[12..].copy_from_slice(&crc.to_le_bytes());
    file.write_at(&prologue, 0).unwrap();
    let refused = try_stepped(&storage, small()).unwrap_err();
    assert!(
        matches!(
            refused,
            OpenError::NewerFormat {
                found: 7,
                supported: 1,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn a_payload_that_imitates_a_batch_header_is_only_a_payload() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    let forged = BatchHeader {
        first: 1,
        durable: u64::MAX,
        frames: 0,
        bytes: 0,
    }
    .encode(0);
    fill(&journal, NOW, &forged);
    storage.lose_power_after(1);
    journal.commit_step();
    storage.crash();
    drop(journal);
    assert!(try_stepped(&storage, small()).is_ok());
}

#[test]
fn a_larger_segment_size_takes_effect_with_the_next_segment() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    commit_many(&journal, 10);
    drop(journal);
    let mut larger = small();
    larger.segment_bytes = 64 << 10;
    let journal = stepped(&storage, larger);
    commit_many(&journal, 200);
    assert_eq!(read_all(&journal, 0).len(), 210);
}
