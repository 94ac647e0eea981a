//! A storage for the journal that keeps nothing: what is left is the journal's own cost.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_collector::clock::{Clock, SystemClock};
use tidegate_journal::storage::{LockError, LockGuard, Storage, StorageDir, StorageFile};

/// Names and lengths of files without content. Good for a journal that is only written.
#[derive(Debug, Default)]
pub struct Nowhere {
    files: Mutex<BTreeMap<PathBuf, Arc<Length>>>,
    clock: SystemClock,
    drawn: AtomicU64,
}

#[derive(Debug, Default)]
struct Length(AtomicU64);

#[derive(Debug)]
struct Unlocked;

impl LockGuard for Unlocked {}

#[derive(Debug)]
struct NoDirectory;

impl StorageDir for NoDirectory {
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

impl Nowhere {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<PathBuf, Arc<Length>>) -> T) -> T {
        act(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Storage for Nowhere {
    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }
    fn create(&self, path: &Path) -> Result<Arc<dyn StorageFile>> {
        let file = Arc::new(Length::default());
        self.with(|files| files.insert(path.to_owned(), Arc::clone(&file)));
        Ok(file)
    }
    fn open(&self, path: &Path) -> Result<Arc<dyn StorageFile>> {
        match self.with(|files| files.get(path).cloned()) {
            Some(file) => Ok(file),
            None => Err(ErrorKind::NotFound.into()),
        }
    }
    fn open_read(&self, path: &Path) -> Result<Arc<dyn StorageFile>> {
        self.open(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let inside = |path: &PathBuf| path.parent() == Some(dir);
        let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
        Ok(self.with(|files| {
            files
                .keys()
                .filter(|p| inside(p))
                .filter_map(name)
                .collect()
        }))
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.with(|files| {
            let file = files.remove(from).ok_or(ErrorKind::NotFound)?;
            files.insert(to.to_owned(), file);
            Ok(())
        })
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.with(|files| files.remove(path));
        Ok(())
    }
    fn open_dir(&self, _: &Path) -> Result<Arc<dyn StorageDir>> {
        Ok(Arc::new(NoDirectory))
    }
    fn lock(&self, _: &Path) -> std::result::Result<Box<dyn LockGuard>, LockError> {
        Ok(Box::new(Unlocked))
    }
    fn entropy(&self) -> Result<u128> {
        Ok(u128::from(self.drawn.fetch_add(1, Ordering::Relaxed)) << 64 | 0x9e37_79b9)
    }
    fn monotonic_us(&self) -> u64 {
        self.clock.monotonic_us()
    }
}

impl StorageFile for Length {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize> {
        let left = self.0.load(Ordering::Relaxed).saturating_sub(position);
        let read = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        buffer[..read].fill(0);
        Ok(read)
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        self.0
            .fetch_max(position + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
    fn sync_data(&self) -> Result<()> {
        Ok(())
    }
    fn len(&self) -> Result<u64> {
        Ok(self.0.load(Ordering::Relaxed))
    }
}
