//! The file system of the machine. No caching, no policy.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustix::fs::{Advice, FlockOperation, OFlags, fadvise, fcntl_getfl, fcntl_setfl, flock};

use super::{LockError, LockGuard, Storage, StorageDir, StorageFile};

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealStorage;

#[derive(Debug)]
struct RealFile(File);

/// Writes around the page cache until the file system says that it cannot.
#[derive(Debug)]
struct UncachedFile(RealFile);

#[derive(Debug)]
struct RealDir(File);

#[derive(Debug)]
struct RealLock(#[expect(dead_code, reason = "the lock lives as long as the descriptor")] File);

impl LockGuard for RealLock {}

impl Storage for RealStorage {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| Path::new("."));
        self.create_dir(parent)?;
        match std::fs::create_dir(dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => self.sync_dir(parent),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(RealFile(created().open(path)?)))
    }

    fn create_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        let flags = OFlags::DIRECT.bits().cast_signed();
        match created().custom_flags(flags).open(path) {
            Ok(file) => Ok(Arc::new(UncachedFile(RealFile(file)))),
            Err(error) if error.kind() == ErrorKind::InvalidInput => self.create(path),
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(RealFile(
            OpenOptions::new().read(true).write(true).open(path)?,
        )))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(RealFile(File::open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn StorageDir>> {
        Ok(Arc::new(RealDir(File::open(dir)?)))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if io::Error::from(error).kind() == ErrorKind::WouldBlock => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(LockError::Held {
                    pid: text.trim().parse().ok(),
                });
            }
            Err(error) => return Err(LockError::Io(error.into())),
        }
        // A full disk must not keep the gateway from starting: the pid is a courtesy.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Box::new(RealLock(file)))
    }

    fn entropy(&self) -> io::Result<u128> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(u128::from_ne_bytes(bytes))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "measures fsync latency; no decision reads it"
    )]
    fn monotonic_us(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl StorageDir for RealDir {
    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl StorageFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, position) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn uncache(&self) -> io::Result<()> {
        Ok(fadvise(&self.0, 0, None, Advice::DontNeed)?)
    }
}

impl StorageFile for UncachedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        match self.0.write_at(bytes, position) {
            // Some file systems open with O_DIRECT and then refuse the write.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                let flags = fcntl_getfl(&self.0.0)?;
                fcntl_setfl(&self.0.0, flags.difference(OFlags::DIRECT))?;
                self.0.write_at(bytes, position)
            }
            result => result,
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

fn created() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_written_around_the_cache_reads_back_also_where_a_write_is_not_aligned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("uncached");
        let file = RealStorage.create_uncached(&path).unwrap();
        file.write_at(&[7; 100], 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [7; 100]);
    }

    #[test]
    fn a_second_lock_is_refused_with_the_pid_of_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let held = RealStorage.lock(&path).unwrap();
        let refused = RealStorage.lock(&path);
        let me = std::process::id();
        assert!(matches!(refused, Err(LockError::Held { pid: Some(pid) }) if pid == me));
        drop(held);
        assert!(RealStorage.lock(&path).is_ok());
    }

    #[test]
    fn directories_are_created_with_their_parents() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        RealStorage.create_dir(&deep).unwrap();
        RealStorage.create_dir(&deep).unwrap();
        assert!(deep.is_dir());
    }
}
