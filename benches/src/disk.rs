//! The disk's own speed: a bare loop of writes and fdatasync into a file that is already there in
//! full, as the journal's segments are.

use std::fs::{self, File};
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tidegate_collector::clock::{Clock, SystemClock};

/// Bytes of one write.
pub const WRITE_BYTES: usize = 4 << 10;
const FILE_BYTES: u64 = 64 << 20;

/// Times of `count` writes with an fdatasync each, in microseconds, sorted.
///
/// # Errors
/// Those of the system.
pub fn fdatasync_us(dir: &Path, count: usize) -> Result<Vec<u64>> {
    let path = dir.join("fdatasync");
    let file = File::create(&path)?;
    let zeros = vec![0; 1 << 20];
    for at in 0..FILE_BYTES / zeros.len() as u64 {
        file.write_all_at(&zeros, at * zeros.len() as u64)?;
    }
    file.sync_all()?;
    let clock = SystemClock::default();
    let block = vec![7; WRITE_BYTES];
    let mut times = Vec::with_capacity(count);
    for at in 0..count as u64 {
        let started = clock.monotonic_us();
        file.write_all_at(&block, at * WRITE_BYTES as u64 % FILE_BYTES)?;
        file.sync_data()?;
        times.push(clock.monotonic_us() - started);
    }
    fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times)
}
