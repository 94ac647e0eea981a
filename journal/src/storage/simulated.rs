//! A file system in memory that loses what was not synced. Deterministic: one seed, one history.
//!
//! At a crash every unsynced write is dropped, kept, torn inside a sector or applied out of order,
//! sector by sector, and every directory change since the directory's last sync is kept or
//! dropped by itself. What was synced stays. It does not damage synced bytes: see
//! [`SimulatedStorage::flip_bit`] for that.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::{LockError, LockGuard, Storage, StorageDir, StorageFile};

const SECTOR_BYTES: usize = 512;

/// A simulated disk. Clones share it.
#[derive(Clone, Debug)]
pub struct SimulatedStorage {
    world: Arc<Mutex<World>>,
}

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`StorageFile::write_at`].
    Write,
    /// [`StorageFile::sync_data`].
    Sync,
    /// [`Storage::create`].
    Create,
    /// [`Storage::rename`].
    Rename,
    /// [`StorageDir::sync`].
    SyncDir,
}

#[derive(Debug)]
struct World {
    random: u64,
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced: Vec<DirChange>,
    locked: BTreeSet<PathBuf>,
    epoch: u64,
    clock_us: u64,
    steps_to_power_loss: Option<u64>,
    space_bytes: Option<u64>,
    descriptors_left: bool,
    fault: Option<(Operation, u64)>,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Content {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum DirChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Debug)]
struct SimulatedFile {
    world: Arc<Mutex<World>>,
    file: usize,
    epoch: u64,
}

#[derive(Debug)]
struct SimulatedDir {
    world: Arc<Mutex<World>>,
    path: PathBuf,
    epoch: u64,
}

#[derive(Debug)]
struct SimulatedLock {
    world: Arc<Mutex<World>>,
    path: PathBuf,
    epoch: u64,
}

impl SimulatedStorage {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = World {
            random: seed,
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced: Vec::new(),
            locked: BTreeSet::new(),
            epoch: 0,
            clock_us: 0,
            steps_to_power_loss: None,
            space_bytes: None,
            descriptors_left: true,
            fault: None,
            syncs: 0,
        };
        Self {
            world: Arc::new(Mutex::new(world)),
        }
    }

    /// Power fails: what was not synced may be gone. Files opened before only fail from here on.
    pub fn crash(&self) {
        self.world.lock().crash();
    }

    /// The process is killed: nothing is lost, and nothing more is durable than before.
    pub fn kill(&self) {
        self.world.lock().end_process();
    }

    /// Every operation after the next `operations` fails, as when power fails in the midst of
    /// one; [`SimulatedStorage::crash`] then gives the disk as the next start finds it.
    pub fn lose_power_after(&self, operations: u64) {
        self.world.lock().steps_to_power_loss = Some(operations);
    }

    /// The `nth` next operation of this kind fails once (0 is the very next), with EIO.
    pub fn fail(&self, operation: Operation, nth: u64) {
        self.world.lock().fault = Some((operation, nth));
    }

    /// Most bytes that all files may have; growing past it fails with ENOSPC. `None`: no limit.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.world.lock().space_bytes = bytes;
    }

    /// While `true`, the process has all the files open that it may (EMFILE): what is open already
    /// works, nothing more can be opened.
    pub fn exhaust_descriptors(&self, exhausted: bool) {
        self.world.lock().descriptors_left = !exhausted;
    }

    /// Damages one synced bit of a file: rot, not a crash. Nothing happens past its end.
    pub fn flip_bit(&self, path: &Path, bit: u64) {
        let mut world = self.world.lock();
        let Some(&file) = world.names.get(path) else {
            return;
        };
        let content = &mut world.files[file];
        let at = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        for bytes in [&mut content.durable, &mut content.current] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// Number of successful [`StorageFile::sync_data`] calls.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.world.lock().syncs
    }

    /// A number below `bound`, from the disk's own random sequence.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.world.lock().below(bound)
    }
}

impl World {
    /// SplitMix64: small, and the same on every machine.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn step(&mut self, epoch: u64) -> io::Result<()> {
        if epoch != self.epoch {
            return Err(io::Error::from(ErrorKind::BrokenPipe));
        }
        match &mut self.steps_to_power_loss {
            Some(0) => Err(io::Error::from(ErrorKind::BrokenPipe)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn may_fail(&mut self, operation: Operation) -> io::Result<()> {
        match &mut self.fault {
            Some((which, 0)) if *which == operation => {
                self.fault = None;
                Err(io::Error::other("injected input/output error"))
            }
            Some((which, left)) if *which == operation => {
                *left -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn may_open(&self) -> io::Result<()> {
        if self.descriptors_left {
            Ok(())
        } else {
            Err(Errno::MFILE.into())
        }
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .map(|&file| self.files[file].current.len() as u64)
            .sum()
    }

    fn end_process(&mut self) {
        self.epoch += 1;
        self.steps_to_power_loss = None;
        self.fault = None;
        self.descriptors_left = true;
        self.locked.clear();
    }

    fn crash(&mut self) {
        self.end_process();
        let changes = std::mem::take(&mut self.unsynced);
        let mood = self.below(4);
        for change in changes {
            if self.keeps(mood) {
                self.apply(change);
            }
        }
        self.names = self.durable_names.clone();
        for file in 0..self.files.len() {
            self.crash_file(file);
        }
    }

    /// Some crashes lose all, some nothing, most a part.
    fn keeps(&mut self, mood: u64) -> bool {
        match mood {
            0 => false,
            1 => true,
            _ => self.below(2) == 0,
        }
    }

    fn apply(&mut self, change: DirChange) {
        match change {
            DirChange::Create(path, file) => {
                self.durable_names.insert(path, file);
            }
            DirChange::Rename(from, to) => {
                if let Some(file) = self.durable_names.remove(&from) {
                    self.durable_names.insert(to, file);
                }
            }
            DirChange::Remove(path) => {
                self.durable_names.remove(&path);
            }
        }
    }

    fn crash_file(&mut self, file: usize) {
        let writes = std::mem::take(&mut self.files[file].unsynced);
        let mood = self.below(4);
        let mut pieces = Vec::new();
        for (position, bytes) in writes {
            let mut at = 0;
            while at < bytes.len() {
                let room = SECTOR_BYTES - (position + at) % SECTOR_BYTES;
                let end = bytes.len().min(at + room);
                if self.keeps(mood) {
                    pieces.push((position + at, bytes[at..end].to_vec()));
                }
                at = end;
            }
        }
        if mood == 3 {
            self.disorder(&mut pieces);
        }
        let content = &mut self.files[file];
        for (position, bytes) in pieces {
            put(&mut content.durable, position, &bytes);
        }
        content.current.clone_from(&content.durable);
    }

    fn disorder(&mut self, pieces: &mut [(usize, Vec<u8>)]) {
        for last in (1..pieces.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            pieces.swap(last, other);
        }
        for (_, bytes) in pieces {
            if self.below(4) == 0 {
                let keep = self.below(bytes.len() as u64 + 1);
                bytes.truncate(usize::try_from(keep).unwrap_or(0));
            }
        }
    }
}

fn put(content: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[position..end].copy_from_slice(bytes);
}

fn missing() -> io::Error {
    io::Error::from(ErrorKind::NotFound)
}

impl Storage for SimulatedStorage {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        let mut world = self.world.lock();
        let epoch = world.epoch;
        world.step(epoch)?;
        world.may_open()?;
        world.may_fail(Operation::Create)?;
        let file = world.files.len();
        world.files.push(Content::default());
        world.names.insert(path.to_owned(), file);
        world
            .unsynced
            .push(DirChange::Create(path.to_owned(), file));
        Ok(Arc::new(SimulatedFile {
            world: self.world.clone(),
            file,
            epoch,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        let mut world = self.world.lock();
        let epoch = world.epoch;
        world.step(epoch)?;
        world.may_open()?;
        let file = *world.names.get(path).ok_or_else(missing)?;
        Ok(Arc::new(SimulatedFile {
            world: self.world.clone(),
            file,
            epoch,
        }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.world.lock();
        let within = world.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(within
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        let epoch = world.epoch;
        world.step(epoch)?;
        world.may_fail(Operation::Rename)?;
        let file = world.names.remove(from).ok_or_else(missing)?;
        world.names.insert(to.to_owned(), file);
        world
            .unsynced
            .push(DirChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world.lock();
        let epoch = world.epoch;
        world.step(epoch)?;
        world.names.remove(path).ok_or_else(missing)?;
        world.unsynced.push(DirChange::Remove(path.to_owned()));
        Ok(())
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn StorageDir>> {
        let world = self.world.lock();
        world.may_open()?;
        Ok(Arc::new(SimulatedDir {
            world: self.world.clone(),
            path: dir.to_owned(),
            epoch: world.epoch,
        }))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, LockError> {
        let mut world = self.world.lock();
        if !world.locked.insert(path.to_owned()) {
            return Err(LockError::Held {
                pid: Some(std::process::id()),
            });
        }
        let epoch = world.epoch;
        Ok(Box::new(SimulatedLock {
            world: self.world.clone(),
            path: path.to_owned(),
            epoch,
        }))
    }

    fn entropy(&self) -> io::Result<u128> {
        let mut world = self.world.lock();
        Ok(u128::from(world.next()) << 64 | u128::from(world.next()))
    }

    fn monotonic_us(&self) -> u64 {
        let mut world = self.world.lock();
        world.clock_us += 1;
        world.clock_us
    }
}

impl StorageDir for SimulatedDir {
    fn sync(&self) -> io::Result<()> {
        let mut world = self.world.lock();
        world.step(self.epoch)?;
        world.may_fail(Operation::SyncDir)?;
        let (inside, outside) =
            std::mem::take(&mut world.unsynced)
                .into_iter()
                .partition(|change| {
                    let (DirChange::Create(path, _)
                    | DirChange::Rename(path, _)
                    | DirChange::Remove(path)) = change;
                    path.parent() == Some(&self.path)
                });
        world.unsynced = outside;
        let inside: Vec<DirChange> = inside;
        for change in inside {
            world.apply(change);
        }
        Ok(())
    }
}

impl LockGuard for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut world = self.world.lock();
        // A crash released it; by now it may be held by the next life.
        if world.epoch == self.epoch {
            world.locked.remove(&self.path);
        }
    }
}

impl StorageFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut world = self.world.lock();
        world.step(self.epoch)?;
        let content = &world.files[self.file].current;
        let start = usize::try_from(position).map_or(content.len(), |p| p.min(content.len()));
        let read = buffer.len().min(content.len() - start);
        buffer[..read].copy_from_slice(&content[start..start + read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut world = self.world.lock();
        world.step(self.epoch)?;
        world.may_fail(Operation::Write)?;
        let at = usize::try_from(position).map_err(io::Error::other)?;
        let growth = (at + bytes.len()).saturating_sub(world.files[self.file].current.len());
        if world
            .space_bytes
            .is_some_and(|space| growth > 0 && world.used() + growth as u64 > space)
        {
            return Err(io::Error::from(ErrorKind::StorageFull));
        }
        let content = &mut world.files[self.file];
        put(&mut content.current, at, bytes);
        content.unsynced.push((at, bytes.to_vec()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.world.lock();
        world.step(self.epoch)?;
        world.may_fail(Operation::Sync)?;
        world.syncs += 1;
        let content = &mut world.files[self.file];
        for (position, bytes) in std::mem::take(&mut content.unsynced) {
            put(&mut content.durable, position, &bytes);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.world.lock().files[self.file].current.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crashed_content(seed: u64, sync: bool) -> Vec<u8> {
        let storage = SimulatedStorage::new(seed);
        let (dir, path) = (Path::new("/d"), Path::new("/d/f"));
        let file = storage.create(path).unwrap();
        storage.sync_dir(dir).unwrap();
        file.write_at(&[7; 4096], 0).unwrap();
        if sync {
            file.sync_data().unwrap();
        }
        storage.crash();
        assert!(
            file.read_at(&mut [0; 1], 0).is_err(),
            "a file opened before the crash is gone"
        );
        let file = storage.open(path).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn synced_bytes_survive_every_crash() {
        for seed in 0..50 {
            assert_eq!(crashed_content(seed, true), [7; 4096]);
        }
    }

    #[test]
    fn unsynced_bytes_are_lost_kept_or_torn() {
        let outcomes: Vec<_> = (0..50).map(|seed| crashed_content(seed, false)).collect();
        assert!(outcomes.iter().any(Vec::is_empty), "lost");
        assert!(outcomes.iter().any(|bytes| bytes == &[7; 4096]), "kept");
        let torn = |bytes: &Vec<u8>| bytes.contains(&0) && bytes.contains(&7);
        assert!(outcomes.iter().any(torn), "torn");
        assert_eq!(
            crashed_content(3, false),
            crashed_content(3, false),
            "deterministic"
        );
    }

    #[test]
    fn names_need_a_directory_sync() {
        let lost = (0..50).filter(|&seed| {
            let storage = SimulatedStorage::new(seed);
            storage.create(Path::new("/d/f")).unwrap();
            storage.crash();
            storage.open(Path::new("/d/f")).is_err()
        });
        assert!((1..50).contains(&lost.count()));
    }
}
