//! A disk that can be filled: a small tmpfs of its own.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::run;

/// A mounted tmpfs; unmounted with its guard.
#[derive(Debug)]
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Mounts `mib` MiB; None, with the reason printed, where this user may not mount.
    ///
    /// # Panics
    /// Where there is no temporary directory.
    #[must_use]
    pub fn mount(mib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let size = format!("size={mib}m");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path());
        match run(&mut mount) {
            Ok(_) => Some(Self { dir }),
            Err(error) => {
                eprintln!("skipped: no tmpfs can be mounted here ({})", error.trim());
                None
            }
        }
    }

    /// Its root.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Fills it to the last byte; the file to remove for room.
    ///
    /// # Panics
    /// Where the file cannot be made.
    #[must_use]
    pub fn fill(&self) -> PathBuf {
        let path = self.dir.path().join("filler");
        let mut file = File::create(&path).expect("a file on the small disk");
        for size in [1 << 16, 1 << 12, 1] {
            let zeros = vec![0; size];
            while file.write(&zeros).is_ok_and(|written| written > 0) {}
        }
        path
    }

    /// Removes what [`SmallDisk::fill`] made.
    ///
    /// # Panics
    /// Where it is gone already.
    pub fn free(&self, filler: &Path) {
        fs::remove_file(filler).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg(self.dir.path()));
    }
}
