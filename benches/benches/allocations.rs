//! Heap allocations of one event by step, and the bytes of its record. Counts, so they do not depend
//! on the machine.
//! `cargo bench -p tidegate-benches --bench allocations`

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use allocation_counter::{AllocationInfo, measure};
use tidegate_benches::hits::{self, Steps};
use tidegate_benches::whole::Whole;
use tidegate_benches::workload::{Shape, bodies};

/// Events before the first one that counts: profiles, caches and buffers have their size then.
const WARM: usize = 20_000;
const EVENTS: usize = 10_000;
/// Events between two commits, as under load from 64 connections.
const BATCH: usize = 64;

#[derive(Default)]
struct Sum {
    count: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, info: &AllocationInfo) {
        self.count += info.count_total;
        self.bytes += info.bytes_total;
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean to print")]
    fn print(&self, step: &str) {
        let mean = |sum: u64| sum as f64 / EVENTS as f64;
        println!(
            "{step:<36} {:>6.1} allocations {:>8.0} bytes",
            mean(self.count),
            mean(self.bytes)
        );
    }
}

fn main() {
    let steps = Steps::default();
    let mut bodies = bodies(Shape::default(), 1_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let whole = Whole::new(dir.path(), 100);
    let (mut decode, mut prepare, mut accept, mut commit) = (
        Sum::default(),
        Sum::default(),
        Sum::default(),
        Sum::default(),
    );
    let mut serial = 0;
    let (mut sent, mut before) = (0, 0);
    for at in 0..WARM + EVENTS {
        let counts = at >= WARM;
        if at == WARM {
            before = whole.journal_bytes();
        }
        if at % BATCH == 0 {
            let info = measure(|| whole.commit());
            if counts {
                commit.add(&info);
            }
        }
        let body = bodies[at % 1_000].stamped(&mut serial);
        sent += if counts { body.len() } else { 0 };
        let decoded = measure(|| drop(hits::decode(body)));
        let mut hit = None;
        let taken = measure(|| hit = Some(steps.take(body, at, whole.now())));
        let hit = hit.expect("it was taken");
        let accepted = measure(|| {
            whole.accept(steps.source(), &hit);
        });
        if counts {
            decode.add(&decoded);
            prepare.count += taken.count_total - decoded.count_total;
            prepare.bytes += taken.bytes_total - decoded.bytes_total;
            accept.add(&accepted);
        }
    }
    whole.commit();
    println!(
        "100 segments, {EVENTS} events of {} bytes, each the mean:",
        sent / EVENTS
    );
    decode.print("decode");
    prepare.print("consent, identify, enrich");
    accept.print("look-up, fold, decide, record");
    commit.print("commit");
    let journaled = whole.journal_bytes() - before;
    println!(
        "{:<36} {:>6} bytes",
        "record in the journal",
        journaled / EVENTS as u64
    );
}
