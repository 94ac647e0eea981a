use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tidegate_event::Timestamp;
use tidegate_journal::storage::{LockError, LockGuard, Storage, StorageDir, StorageFile};
use tidegate_journal::{Journal, RealStorage, Settings};

use super::{Bounds, Liveness};
use crate::clock::SystemClock;

/// How long anything may take.
const LOOKS: usize = 1_000;

/// The real disk, whose fdatasync does not return while it is told to hang.
#[derive(Clone, Debug, Default)]
struct Hanging(Arc<(Mutex<bool>, Condvar)>);

#[derive(Debug)]
struct HangingFile(Arc<dyn StorageFile>, Hanging);

impl Hanging {
    fn set(&self, hangs: bool) {
        *self.0.0.lock() = hangs;
        self.0.1.notify_all();
    }

    fn file(&self, file: io::Result<Arc<dyn StorageFile>>) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(HangingFile(file?, self.clone())))
    }
}

impl Storage for Hanging {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealStorage.create_dir(dir)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.file(RealStorage.create(path))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.file(RealStorage.open(path))
    }
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        RealStorage.open_read(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealStorage.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealStorage.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealStorage.remove(path)
    }
    fn open_dir(&self, dir: &Path) -> io::Result<Arc<dyn StorageDir>> {
        RealStorage.open_dir(dir)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, LockError> {
        RealStorage.lock(path)
    }
    fn entropy(&self) -> io::Result<u128> {
        RealStorage.entropy()
    }
    fn monotonic_us(&self) -> u64 {
        RealStorage.monotonic_us()
    }
}

impl StorageFile for HangingFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_at(bytes, position)
    }
    fn sync_data(&self) -> io::Result<()> {
        let (hangs, changed) = &*self.1.0;
        changed.wait_while(&mut hangs.lock(), |hangs| *hangs);
        self.0.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

fn eventually(so: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it never came true");
}

/// No error tells of such a disk: the kernel waits for it.
#[test]
fn an_fdatasync_that_does_not_return_is_seen_until_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Hanging::default();
    let settings = Settings {
        segment_bytes: 4 << 20,
        disk_budget: 64 << 20,
        ..Settings::default()
    };
    let journal = Journal::open(dir.path(), Arc::new(disk.clone()), settings).unwrap();
    let liveness = Liveness::new(Arc::new(SystemClock::default()));
    let bounds = Bounds {
        cursor_stalled_ms: 30_000,
        durable_lag_max_ms: 300,
        checkpoint_lag: 0,
    };
    let (_lives, gateway) = tokio::sync::watch::channel(false);
    let watched = liveness.watch(journal.clone(), bounds, None, gateway);
    watched.unwrap();
    eventually(|| journal.reserve(10, 1).is_ok());
    assert!(!liveness.report().durable_lags);

    disk.set(true);
    let mut room = journal.reserve(10, 1).unwrap();
    room.ticket(Timestamp(1)).fill(vec![1; 10]);
    eventually(|| liveness.report().durable_lags);
    assert!(liveness.report().durable_lag_ms > 300);
    assert!(
        liveness
            .disk_hangs()
            .load(std::sync::atomic::Ordering::Relaxed)
    );

    disk.set(false);
    eventually(|| !liveness.report().durable_lags);
    assert_eq!(journal.durable(), 1);
    liveness.stopping();
    journal.shutdown();
}
