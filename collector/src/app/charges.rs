//! What lies on the journal's disk beside its segments: it counts in `journal.disk_budget`. Measures
//! it; the journal decides what that leaves.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::bad_rows::{self, BadRows};
use crate::core::Core;
use crate::formats::dead_letters;
use crate::unreadable;

const BAD_ROWS: &str = "bad rows";
const STATE: &str = "profiles and outbox";

/// Unit of `st_blocks` (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// The charges before the journal opens, bytes by name. Each part brings its own up to date later.
pub(super) fn before_opening(data_dir: &Path) -> BTreeMap<String, u64> {
    let parts = [
        (BAD_ROWS, bad_rows::DIR),
        (STATE, "state"),
        (dead_letters::DIR, dead_letters::DIR),
        (unreadable::DIR, unreadable::DIR),
    ];
    let measured = parts.map(|(name, dir)| {
        let bytes = match occupied(&data_dir.join(dir)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => {
                tracing::warn!(%error, dir, "what a directory takes on the disk is not known");
                0
            }
        };
        (name.to_owned(), bytes)
    });
    BTreeMap::from(measured)
}

/// Measures what changes all the time.
pub(super) fn bring_up_to_date(core: &Core, bad_rows: &BadRows, data_dir: &Path) {
    if let Err(error) = bad_rows.expire(core.now()) {
        tracing::warn!(%error, "old bad rows were not removed");
    }
    core.journal().charge(BAD_ROWS, bad_rows.bytes());
    match occupied(&data_dir.join("state")) {
        Ok(bytes) => core.journal().charge(STATE, bytes),
        // What was charged last stays.
        Err(error) => tracing::warn!(%error, "the size of profiles and outbox is not known"),
    }
}

/// Bytes that the files below `dir` take on the disk: of one that is sparse, only what it holds.
fn occupied(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // One may go while it is looked at.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += if metadata.is_dir() {
            occupied(&entry.path()).unwrap_or(0)
        } else {
            metadata.blocks() * BLOCK_BYTES
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of 1 MiB whose blocks are on the disk.
    fn write_mebibyte(dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        let path = dir.join("full");
        std::fs::write(&path, vec![1; 1 << 20]).unwrap();
        std::fs::File::open(path).unwrap().sync_all().unwrap();
    }

    #[test]
    fn a_sparse_file_counts_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let sparse = std::fs::File::create(below.join("sparse")).unwrap();
        sparse.set_len(64 << 20).unwrap();
        write_mebibyte(dir.path());
        let bytes = occupied(dir.path()).unwrap();
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
    }

    #[test]
    fn every_part_is_charged_before_the_journal_opens() {
        let dir = tempfile::tempdir().unwrap();
        let charged = |bytes: u64| before_opening(dir.path()).values().all(|own| *own >= bytes);
        assert!(charged(0), "a new directory");
        let parts = [bad_rows::DIR, "state", dead_letters::DIR, unreadable::DIR];
        for part in parts {
            write_mebibyte(&dir.path().join(part));
        }
        assert!(charged(1 << 20));
    }
}
