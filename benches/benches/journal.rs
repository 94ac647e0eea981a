//! The journal by itself: 64 records of 1,200 bytes become one batch, one write, one fdatasync on
//! a real disk; beside the bare write and fdatasync, and the same batch without any disk.
//! `cargo bench -p tidegate-benches --bench journal`

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_benches::nowhere::Nowhere;
use tidegate_event::Timestamp;
use tidegate_journal::storage::{RealStorage, Storage};
use tidegate_journal::{Journal, Settings, Step};

const RECORDS: usize = 64;
const RECORD_BYTES: usize = 1_200;
const SEGMENT_BYTES: u64 = 64 << 20;
const NOW: Timestamp = Timestamp(1_795_348_800_000);

fn open(dir: &Path, storage: Arc<dyn Storage>) -> Journal {
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        disk_budget: 4 * SEGMENT_BYTES,
        retention_ms: 0,
        ..Settings::default()
    };
    Journal::open_stepped(dir, storage, settings).expect("the journal opens")
}

fn batch(journal: &Journal) -> u64 {
    let payload = [b'x'; RECORD_BYTES];
    loop {
        // Room is made here, not by a thread, and only when there is none.
        let Ok(mut reservation) = journal.reserve(RECORDS * RECORD_BYTES, RECORDS) else {
            journal.observe_time(NOW);
            journal.prepare_step();
            continue;
        };
        for _ in 0..RECORDS {
            let ticket = reservation.ticket(NOW);
            ticket.fill(black_box(&payload).to_vec());
        }
        break;
    }
    while journal.commit_step() != Step::Committed {
        journal.prepare_step();
    }
    journal.durable()
}

fn append(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on disk");
    let mut group = criterion.benchmark_group("journal append, batch of 64");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let file = File::create(dir.path().join("bare")).expect("a file");
    let zeros = vec![0; 1 << 20];
    for at in 0..SEGMENT_BYTES >> 20 {
        file.write_all_at(&zeros, at << 20)
            .expect("room on the disk");
    }
    file.sync_all().expect("a disk");
    let bytes = vec![b'x'; RECORDS * RECORD_BYTES];
    group.bench_function("yardstick: bare write and fdatasync", |bench| {
        let mut position = 0;
        bench.iter(|| {
            position = (position + bytes.len() as u64) % (SEGMENT_BYTES - bytes.len() as u64);
            file.write_all_at(&bytes, position)
                .expect("room on the disk");
            file.sync_data().expect("a disk");
        });
    });
    let journal = open(&dir.path().join("disk"), Arc::new(RealStorage));
    group.bench_function("durable on disk", |bench| bench.iter(|| batch(&journal)));
    drop(journal);
    let journal = open(Path::new("/nowhere"), Arc::new(Nowhere::default()));
    group.bench_function("without a disk", |bench| bench.iter(|| batch(&journal)));
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
