//! What `data_dir` stands on: the kind of file system, and the room it has for `journal.disk_budget`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{statfs, statvfs};

use super::finding::Finding;
use crate::settings::Settings;

const KIND: &str = "file system";
const SPACE: &str = "disk space";
/// Folders below `data_dir` that are added up.
const DEPTH_MAX: usize = 8;

// Magic numbers of linux/magic.h and statfs(2).
const TMPFS: u32 = 0x0102_1994;
const RAMFS: u32 = 0x8584_58f6;
const OVERLAY: u32 = 0x794c_7630;
const NFS: u32 = 0x6969;
const SMB2: u32 = 0xfe53_4d42;
const CIFS: u32 = 0xff53_4d42;
const FUSE: u32 = 0x6573_5546;
const NINE_P: u32 = 0x0102_1997;

/// Looks at the kind of file system.
pub fn kind(folder: &Path) -> Finding {
    match statfs(folder) {
        // The kernel's word may be signed or wider; its low 32 bits are the magic number.
        Ok(found) => judge_kind(u32::try_from(found.f_type & 0xffff_ffff).unwrap_or(0)),
        Err(error) => unreadable(KIND, folder, error),
    }
}

/// Says what a kind of file system means for a journal.
pub fn judge_kind(magic: u32) -> Finding {
    let disk = "put data_dir on a local disk or a block volume";
    match magic {
        TMPFS | RAMFS => Finding::fail(
            KIND,
            "data_dir is in memory: acknowledged events do not survive a reboot",
            disk,
        ),
        OVERLAY => Finding::warn(
            KIND,
            "data_dir is in a container's own layer, which goes away with the container",
            "mount a volume there",
        ),
        NFS | SMB2 | CIFS | NINE_P => Finding::warn(
            KIND,
            "data_dir is on a network file system: each answer waits for its round trip, and its \
             locks and syncs are only as honest as its server",
            disk,
        ),
        FUSE => Finding::warn(
            KIND,
            "data_dir is on a FUSE file system, which may not pass fdatasync on",
            disk,
        ),
        _ => Finding::ok(KIND, "data_dir is on a local file system"),
    }
}

/// Looks at the room that is left.
pub fn space(folder: &Path, settings: &Settings) -> Finding {
    match statvfs(folder) {
        Ok(found) => {
            let available = found.f_bavail.saturating_mul(found.f_frsize);
            let used = bytes_below(&settings.data_dir, DEPTH_MAX);
            let journal = &settings.journal;
            judge_space(available, used, journal.disk_budget, journal.segment_bytes)
        }
        Err(error) => unreadable(SPACE, folder, error),
    }
}

/// Says whether `available` bytes beside the `used` ones hold the budget.
pub fn judge_space(available: u64, used: u64, budget: u64, segment: u64) -> Finding {
    let found = format!(
        "{} free, {} used by data_dir, journal.disk_budget is {}",
        size(available),
        size(used),
        size(budget)
    );
    let next = "free some, enlarge the disk, or lower journal.disk_budget";
    if available < 2 * segment {
        return Finding::fail(
            SPACE,
            format!("{found}: no room for the next segments"),
            next,
        );
    }
    if available.saturating_add(used) < budget {
        let found = format!("{found}: the disk is full before the budget is");
        return Finding::warn(SPACE, found, next);
    }
    Finding::ok(SPACE, found)
}

fn bytes_below(folder: &Path, depth: usize) -> u64 {
    let Some(entries) = std::fs::read_dir(folder).ok().filter(|_| depth > 0) else {
        return 0;
    };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path(), depth - 1),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}

fn unreadable(check: &'static str, folder: &Path, error: rustix::io::Errno) -> Finding {
    Finding::unknown(
        check,
        format!("{} cannot be looked at: {error}", folder.display()),
        "run this as the user of the service",
    )
}

fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib >= 10 << 10 {
        format!("{} GiB", mib >> 10)
    } else {
        format!("{mib} MiB")
    }
}
