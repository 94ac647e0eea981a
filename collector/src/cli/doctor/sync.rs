//! How long one fdatasync takes on the disk of `data_dir`: what every acknowledged hit waits for.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::finding::Finding;
use crate::clock::Clock;

const CHECK: &str = "disk sync";
/// The journal's way of writing: into a preallocated file, a batch at a time.
const FILE_BYTES: usize = 1 << 20;
const BATCH_BYTES: usize = 4 << 10;
/// Syncs measured, at most.
const SYNCS_MAX: usize = FILE_BYTES / BATCH_BYTES;
/// No further sync is begun after this long.
const PATIENCE_US: u64 = 5_000_000;

/// No device that keeps its promise is faster than this, in microseconds.
const HONEST_US: u64 = 8;
/// A p99 up to this is good, in microseconds.
const GOOD_US: u64 = 20_000;
/// A p99 beyond this makes clients give up, in microseconds.
const BAD_US: u64 = 250_000;

/// Times of fdatasync, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half are faster.
    pub p50: u64,
    /// One in a hundred is slower.
    pub p99: u64,
    /// How many were measured.
    pub count: usize,
}

/// Measures in a file that has no name and is gone afterwards.
pub fn latency(folder: &Path, clock: &impl Clock) -> Finding {
    match measure(folder, clock) {
        Ok(latency) => judge(latency),
        Err(error) => Finding::fail(
            CHECK,
            format!("cannot write in {}: {error}", folder.display()),
            "run this as the user of the service; that user must own data_dir",
        ),
    }
}

fn measure(folder: &Path, clock: &impl Clock) -> io::Result<Latency> {
    let file = tempfile::tempfile_in(folder)?;
    file.write_all_at(&vec![0; FILE_BYTES], 0)?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS_MAX);
    let begun = clock.monotonic_us();
    let batch = [0xa5; BATCH_BYTES];
    for offset in (0..FILE_BYTES).step_by(BATCH_BYTES) {
        let start = clock.monotonic_us();
        file.write_all_at(&batch, offset as u64)?;
        file.sync_data()?;
        let end = clock.monotonic_us();
        times.push(end - start);
        if end - begun > PATIENCE_US {
            break;
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Ok(Latency {
        p50: at(50),
        p99: at(99),
        count: times.len(),
    })
}

/// Says what such times mean for the answers.
pub fn judge(latency: Latency) -> Finding {
    let Latency { p50, p99, count } = latency;
    let found = format!(
        "fdatasync of 4 KiB: p50 {}, p99 {} over {count}",
        milliseconds(p50),
        milliseconds(p99)
    );
    let faster = "use a local SSD, and no disk that others keep busy";
    if p50 < HONEST_US {
        Finding::warn(
            CHECK,
            format!("{found}: faster than a disk can be, so it may not sync at all"),
            "make sure that the volume is no RAM disk and does not run with syncs turned off",
        )
    } else if p99 > BAD_US {
        Finding::fail(CHECK, format!("{found}: clients give up waiting"), faster)
    } else if p99 > GOOD_US {
        Finding::warn(
            CHECK,
            format!("{found}: every answer waits for one or two"),
            faster,
        )
    } else {
        Finding::ok(CHECK, found)
    }
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10)
}
