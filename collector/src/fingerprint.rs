//! Whether a file is still the one that was read: by its inode, size and times, never its content.
//! Symbolic links are followed, so that a swapped link (a Kubernetes ConfigMap) is seen, and so is a
//! file that an editor replaces by renaming another over it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a file looked like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// How the file looks now; None where there is none, or none that may be looked at.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_edit_a_rename_and_a_swapped_link_are_seen_and_a_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings");
        let next = dir.path().join("next");
        assert_eq!(Fingerprint::of(&path), None);
        std::fs::write(&path, "one").unwrap();
        let first = Fingerprint::of(&path);
        assert!(first.is_some());
        std::fs::read(&path).unwrap();
        assert_eq!(Fingerprint::of(&path), first);
        std::fs::write(&path, "three").unwrap();
        let edited = Fingerprint::of(&path);
        assert_ne!(edited, first);
        std::fs::write(&next, "three").unwrap();
        std::fs::rename(&next, &path).unwrap();
        let renamed = Fingerprint::of(&path);
        assert_ne!(renamed, edited);
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(Fingerprint::of(&link), renamed);
        std::fs::write(&next, "three").unwrap();
        let other = dir.path().join("other");
        symlink(&next, &other).unwrap();
        std::fs::rename(&other, &link).unwrap();
        assert_ne!(Fingerprint::of(&link), renamed);
    }
}
