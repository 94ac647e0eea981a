use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::{prop_assert, proptest};

use super::support::{
    NOW, commit_many, data_dir, fill, read_all, record, small, stepped, try_stepped,
};
use crate::cursor::CursorTable;
use crate::frame::{BATCH_HEADER_BYTES, FRAME_HEADER_BYTES};
use crate::storage::Storage;
use crate::storage::simulated::SimulatedStorage;
use crate::{CursorClass, Journal, OpenError, Snapshot, drop_saved_cursor, repair};

const HEADER_BITS: u64 = 76 * 8;

fn segments(storage: &SimulatedStorage) -> Vec<PathBuf> {
    let dir = data_dir().join("journal");
    let mut names = storage.list(&dir).unwrap();
    names.retain(|name| name.ends_with(".seg"));
    names.sort();
    names.into_iter().map(|name| dir.join(name)).collect()
}

/// 60 records in three segments, cleanly closed, so that all of it is below the mark.
fn closed_journal(seed: u64) -> SimulatedStorage {
    let storage = SimulatedStorage::new(seed);
    let journal = stepped(&storage, small());
    commit_many(&journal, 60);
    drop(journal);
    assert_eq!(segments(&storage).len(), 3);
    storage
}

fn refused(storage: &SimulatedStorage) -> bool {
    match try_stepped(storage, small()) {
        Err(error @ OpenError::Corrupt(_)) => {
            assert!(error.to_string().contains("tidegate journal repair"));
            true
        }
        Err(other) => panic!("{other}"),
        Ok(_) => false,
    }
}

#[test]
fn a_flip_in_any_record_below_the_mark_is_refused_naming_the_repair() {
    for segment in 0..3 {
        for place in [0, 5, 39, 40, 50, 64, 70, 500] {
            let storage = closed_journal(1);
            // Some byte of the third batch: each is 40 + 25 + 1000 bytes.
            let byte = 4096 + 2 * 1065 + place;
            storage.flip_bit(&segments(&storage)[segment], byte * 8 + 3);
            assert!(
                refused(&storage),
                "segment {segment}, byte {place} of the batch"
            );
        }
    }
}

#[test]
fn a_flip_in_any_header_is_refused() {
    for segment in 0..3 {
        for bit in (0..HEADER_BITS).step_by(7) {
            let storage = closed_journal(1);
            storage.flip_bit(&segments(&storage)[segment], bit);
            assert!(refused(&storage), "segment {segment}, bit {bit}");
        }
    }
}

#[test]
fn a_missing_segment_is_refused() {
    for segment in 1..3 {
        let storage = closed_journal(1);
        storage.remove(&segments(&storage)[segment]).unwrap();
        assert!(refused(&storage), "segment {segment}");
    }
}

#[test]
fn a_segment_that_was_cut_below_what_was_durable_is_refused() {
    let storage = closed_journal(1);
    let last = storage.open(&segments(&storage)[2]).unwrap();
    let zeros = vec![0; 4 << 10];
    let end = 32 << 10;
    for position in (4 << 10..end).step_by(zeros.len()) {
        last.write_at(&zeros, position).unwrap();
    }
    assert!(refused(&storage));
}

#[test]
fn a_repair_keeps_what_is_before_the_damage_and_never_uses_an_offset_again() {
    for (segment, batch) in [(0, 2), (1, 0), (2, 3)] {
        let storage = closed_journal(1);
        let path = &segments(&storage)[segment];
        storage.flip_bit(path, (4096 + batch * 1065 + 100) * 8);
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        let repaired = repair(&data_dir(), &shared, &small()).unwrap();
        let damage = repaired.damage.clone().unwrap();
        let cut = repaired.cut.unwrap();
        assert_eq!(&damage.path, path);
        assert_eq!(cut.lost_from, damage.offset);
        assert!(cut.lost_to >= 60 && cut.resumes_at > cut.lost_to);
        assert!(repaired.aside.iter().all(|kept| storage.open(kept).is_ok()));
        assert_eq!(repaired.aside.len(), 3 - segment);

        let journal = stepped(&storage, small());
        assert_eq!(journal.next_offset(), cut.resumes_at);
        let offset = fill(&journal, NOW, b"after");
        journal.commit_step();
        assert_eq!(offset, cut.resumes_at);
        let read = read_all(&journal, 0);
        let kept = usize::try_from(cut.lost_from).unwrap();
        assert_eq!(read.len(), kept + 1);
        assert!(
            read[..kept]
                .iter()
                .all(|(offset, _, payload)| *payload == record(*offset))
        );
        assert_eq!(read[kept].0, cut.resumes_at);
        assert_eq!(
            read_all(&journal, cut.lost_from).len(),
            1,
            "from inside the gap"
        );
        drop(journal);
        assert_eq!(repair(&data_dir(), &shared, &small()).unwrap().damage, None);
    }
}

#[test]
fn a_repair_keeps_the_sound_records_of_a_damaged_batch() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    for payload in [b"one", b"two", b"six"] {
        fill(&journal, NOW, payload);
    }
    journal.commit_step();
    drop(journal);
    let frame = FRAME_HEADER_BYTES + 3;
    let third = 4096 + BATCH_HEADER_BYTES + 2 * frame;
    let bit = u64::try_from(third + FRAME_HEADER_BYTES).unwrap() * 8;
    storage.flip_bit(&segments(&storage)[0], bit);
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let cut = repair(&data_dir(), &shared, &small()).unwrap().cut.unwrap();
    assert_eq!((cut.lost_from, cut.lost_to), (2, 3));
    let journal = stepped(&storage, small());
    let read = read_all(&journal, 0);
    assert_eq!(read.len(), 2);
    assert_eq!(read[1].2, b"two");
}

#[test]
fn a_repair_also_helps_when_headers_are_damaged() {
    for broken in [vec![0], vec![1], vec![2], vec![0, 1, 2]] {
        let storage = closed_journal(1);
        for &segment in &broken {
            storage.flip_bit(&segments(&storage)[segment], 100);
        }
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        let repaired = repair(&data_dir(), &shared, &small()).unwrap();
        let cut = repaired.cut.unwrap();
        let journal = stepped(&storage, small());
        assert!(cut.resumes_at >= 60, "{broken:?}");
        assert_eq!(journal.next_offset(), cut.resumes_at);
        let read = read_all(&journal, journal.oldest_offset());
        assert!(
            read.iter()
                .all(|(offset, _, payload)| *payload == record(*offset))
        );
    }
}

#[test]
fn an_interrupted_repair_is_run_again_and_no_offset_comes_twice() {
    let mut refused_between = 0;
    for steps in 0..60 {
        let storage = closed_journal(steps);
        storage.flip_bit(&segments(&storage)[1], (4096 + 1065 + 100) * 8);
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        storage.lose_power_after(steps);
        let _ = repair(&data_dir(), &shared, &small());
        storage.crash();
        refused_between += u32::from(refused(&storage));
        repair(&data_dir(), &shared, &small()).unwrap();
        let journal = stepped(&storage, small());
        assert!(
            journal.next_offset() >= 60,
            "after {steps} steps: {}",
            journal.next_offset()
        );
    }
    assert!(refused_between > 5);
}

#[test]
fn a_damaged_cursor_file_is_refused_and_set_aside_by_the_repair() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    journal.cursor("kafka", CursorClass::Required).unwrap();
    commit_many(&journal, 3);
    drop(journal);
    storage.flip_bit(&data_dir().join("CURSORS"), 30);
    assert!(refused(&storage));
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let repaired = repair(&data_dir(), &shared, &small()).unwrap();
    assert_eq!(repaired.aside, [data_dir().join("CURSORS.cut")]);
    assert_eq!(stepped(&storage, small()).durable(), 3);
}

#[test]
fn a_cursor_file_of_a_later_release_is_no_damage_and_stays() {
    let storage = SimulatedStorage::new(1);
    drop(stepped(&storage, small()));
    let lines = "tidegate cursors 3\ndurable 9\nrequired 7 0 0 kafka and more\n";
    let text = format!("{lines}crc {:08x}\n", crc32fast::hash(lines.as_bytes()));
    CursorTable::write(&storage, &data_dir(), &text).unwrap();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let newer = |error: &OpenError| matches!(error, OpenError::NewerFormat { found: 3, .. });
    for _ in 0..2 {
        assert!(try_stepped(&storage, small()).is_err_and(|error| newer(&error)));
        let repaired = repair(&data_dir(), &shared, &small());
        assert!(repaired.is_err_and(|error| newer(&error)));
    }
    let cursors = Snapshot::open(&data_dir(), shared).unwrap().cursors();
    let told = cursors.unwrap_err().to_string();
    assert!(told.contains("newer version of Tidegate"), "{told}");
}

#[test]
fn a_saved_cursor_is_dropped_only_while_nobody_uses_the_directory() {
    let storage = SimulatedStorage::new(1);
    let journal = stepped(&storage, small());
    journal.cursor("kafka", CursorClass::Required).unwrap();
    journal.prepare_step();
    assert!(drop_saved_cursor(&data_dir(), &storage, "kafka").is_err());
    drop(journal);
    drop_saved_cursor(&data_dir(), &storage, "kafka").unwrap();
    assert!(drop_saved_cursor(&data_dir(), &storage, "kafka").is_err());
    assert!(stepped(&storage, small()).cursors().is_empty());
}

/// Reads everything there is; only errors may come of damage, never a panic or a wrong byte.
fn read_what_is_there(storage: &SimulatedStorage) {
    if let Ok(snapshot) = Snapshot::open(&data_dir(), Arc::new(storage.clone()))
        && let Ok(mut reader) = snapshot.reader(snapshot.oldest())
    {
        while let Ok(Some(frame)) = reader.next_below(u64::MAX) {
            assert_eq!(frame.payload, record(frame.offset));
        }
    }
    let Ok(journal) = try_stepped(storage, small()) else {
        return;
    };
    check(&journal);
}

fn check(journal: &Journal) {
    for (offset, _, payload) in read_all(journal, journal.oldest_offset()) {
        assert_eq!(payload, record(offset));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits_never_panic_and_never_pass_for_a_record(
        flips in prop::collection::vec((0usize..3, 0u64..(32 << 13)), 1..6)
    ) {
        let storage = closed_journal(1);
        let files = segments(&storage);
        for (segment, bit) in &flips {
            storage.flip_bit(&files[*segment], *bit);
        }
        read_what_is_there(&storage);
    }

    #[test]
    fn garbage_never_panics(
        segment in 0usize..3,
        position in 0u64..(32 << 10),
        garbage in prop::collection::vec(any::<u8>(), 1..3000),
    ) {
        let storage = closed_journal(1);
        let file = storage.open(&segments(&storage)[segment]).unwrap();
        file.write_at(&garbage, position).unwrap();
        read_what_is_there(&storage);
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        if repair(&data_dir(), &shared, &small()).is_ok() {
            prop_assert!(try_stepped(&storage, small()).is_ok());
        }
    }

    #[test]
    fn one_flip_in_written_bytes_of_a_sealed_segment_is_always_refused(
        bit in (4096u64 * 8)..((4096 + 25 * 1065) * 8)
    ) {
        let storage = closed_journal(1);
        storage.flip_bit(&segments(&storage)[0], bit);
        prop_assert!(refused(&storage));
    }
}
