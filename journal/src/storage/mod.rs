//! All file access of the journal goes through here, so that a simulation can lose what was not
//! synced. Knows nothing of segments or frames.

pub mod real;
pub mod simulated;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use real::RealStorage;

/// What address, position and length of a write around the cache are multiples of: the largest
/// logical block of disks in use (open(2), `O_DIRECT`).
pub const DIRECT_BYTES: usize = 4_096;

/// A directory tree that can be synced.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Creates a directory and its parents, durably; fine when it exists.
    ///
    /// # Errors
    /// Those of the system.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Creates an empty file, or empties an existing one.
    ///
    /// # Errors
    /// Those of the system.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>>;
    /// As [`Storage::create`], for a file that is written once and not read soon: where the system
    /// can, writes go around its cache. Buffers and positions are multiples of [`DIRECT_BYTES`].
    ///
    /// # Errors
    /// Those of the system.
    fn create_uncached(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.create(path)
    }
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// Those of the system.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>>;
    /// Opens an existing file for reading only.
    ///
    /// # Errors
    /// Those of the system.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>>;
    /// Names of the files in a directory, in no order; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// Those of the system.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Renames within one directory, replacing the target atomically.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// Those of the system.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Keeps a directory open, so that syncing it later cannot fail for want of a descriptor.
    ///
    /// # Errors
    /// Those of the system.
    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn StorageDir>>;
    /// Makes creations, renames and removals in `dir` durable.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open_dir(dir)?.sync()
    }
    /// Takes the exclusive lock on `path`, held until the guard is dropped or the process ends.
    ///
    /// # Errors
    /// [`LockError`].
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, LockError>;
    /// 128 random bits.
    ///
    /// # Errors
    /// Those of the system.
    fn entropy(&self) -> io::Result<u128>;
    /// Microseconds since some fixed point, for measuring only.
    fn monotonic_us(&self) -> u64;
}

/// An open directory.
pub trait StorageDir: Send + Sync + fmt::Debug {
    /// Makes creations, renames and removals in it durable.
    ///
    /// # Errors
    /// Those of the system.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub trait StorageFile: Send + Sync + fmt::Debug {
    /// Reads up to `buffer.len()` bytes; 0 at the end of the file.
    ///
    /// # Errors
    /// Those of the system.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// Those of the system.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// Makes the content and the length durable.
    ///
    /// # Errors
    /// Those of the system.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// Those of the system.
    fn len(&self) -> io::Result<u64>;
    /// A hint that the content is not read soon: its memory may go to other files.
    ///
    /// # Errors
    /// Those of the system.
    fn uncache(&self) -> io::Result<()> {
        Ok(())
    }
    /// Whether the length is 0.
    ///
    /// # Errors
    /// Those of the system.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Holds a lock while it lives.
pub trait LockGuard: Send + Sync + fmt::Debug {}

/// Why a lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process (or another journal of this one) holds it.
    #[error("already locked")]
    Held {
        /// Process id of the holder, when it could be read.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads until `buffer` is full or the file ends; returns the bytes read.
///
/// # Errors
/// Those of the storage.
pub(crate) fn read_full(
    file: &dyn StorageFile,
    buffer: &mut [u8],
    position: u64,
) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], position + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}
