//! The journal as another process may see it: no lock is taken and nothing is written.
//!
//! Shows what lies below the durable mark that the batch headers tell. A running gateway writes
//! the mark down with each batch and 5 ms after the last one, so that is how far this lags. Where
//! the process that held the directory is gone, everything intact is shown, as its next start
//! would recover it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::cursor::{CursorInfo, CursorTable};
use crate::error::{At, Corruption, CursorError, ReadError};
use crate::log::{Located, Log, SegmentInfo, segment_path};
use crate::reader::Reader;
use crate::segment::{
    FORMAT_VERSION, HEADER_BLOCK_BYTES, HeaderFault, SegmentHeader, base_of, id_text,
};
use crate::storage::{Storage, StorageFile, read_full};
use crate::walk::{Step, Walker};

/// How often a listing that retention overtook is tried again.
const TRIES: usize = 5;

/// A view of the journal in a data directory that may be in use.
#[derive(Clone, Debug)]
pub struct Snapshot {
    storage: Arc<dyn Storage>,
    data_dir: PathBuf,
    dir: PathBuf,
    view: Arc<View>,
}

#[derive(Debug)]
struct View {
    journal: u128,
    log: Log,
    durable: u64,
}

impl Snapshot {
    /// Looks at the journal in `data_dir`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(data_dir: &Path, storage: Arc<dyn Storage>) -> Result<Self, ReadError> {
        let dir = crate::journal_dir(data_dir);
        let view = Arc::new(look(storage.as_ref(), data_dir, &dir)?);
        Ok(Self {
            storage,
            data_dir: data_dir.to_owned(),
            dir,
            view,
        })
    }

    /// The journal's id.
    #[must_use]
    pub fn id(&self) -> String {
        id_text(self.view.journal)
    }

    /// The oldest offset kept.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.view.log.oldest()
    }

    /// Every offset below is known to be durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.view.durable
    }

    /// Looks again.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn refresh(&mut self) -> Result<(), ReadError> {
        self.view = Arc::new(look(self.storage.as_ref(), &self.data_dir, &self.dir)?);
        Ok(())
    }

    /// A reader that looks again by itself when it has reached the durable mark.
    ///
    /// # Errors
    /// [`ReadError::Retired`].
    pub fn reader(&self, from: u64) -> Result<Reader, ReadError> {
        Reader::snapshot(self.clone(), from)
    }

    /// The cursors as they were last saved.
    ///
    /// # Errors
    /// [`CursorError::Damaged`], [`CursorError::NewerFormat`], or those of the storage.
    pub fn cursors(&self) -> Result<Vec<CursorInfo>, CursorError> {
        let table = CursorTable::load(self.storage.as_ref(), &self.data_dir)?;
        Ok(table.infos(self.view.durable))
    }

    /// Every offset below was durable when the cursors were last saved; 0 where they never were. A
    /// sound journal reaches it, a running one within milliseconds.
    ///
    /// # Errors
    /// As [`Snapshot::cursors`].
    pub fn saved_mark(&self) -> Result<u64, CursorError> {
        let table = CursorTable::load(self.storage.as_ref(), &self.data_dir)?;
        Ok(table.highest_saved())
    }

    pub(crate) fn path(&self, base: u64) -> PathBuf {
        segment_path(&self.dir, base)
    }

    pub(crate) fn locate(&self, offset: u64) -> Option<Located> {
        self.view.log.locate(offset)
    }

    pub(crate) fn open_file(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.storage.open_read(path)
    }
}

fn look(storage: &dyn Storage, data_dir: &Path, dir: &Path) -> Result<View, ReadError> {
    let mut result = look_once(storage, data_dir, dir);
    for _ in 1..TRIES {
        match &result {
            Err(error) if is_overtaken(storage, error) => {
                result = look_once(storage, data_dir, dir);
            }
            Ok(_) | Err(_) => break,
        }
    }
    result
}

/// Whether a segment went between the listing and the reading of its header: its file is gone, or
/// was renamed and is used again for a later segment.
fn is_overtaken(storage: &dyn Storage, error: &ReadError) -> bool {
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match error {
        ReadError::Io(error) => is_gone(&error.source),
        ReadError::Corrupt(damage) => storage.open_read(&damage.path).is_err_and(|e| is_gone(&e)),
        ReadError::Retired { .. } | ReadError::Absent { .. } | ReadError::NewerFormat { .. } => {
            false
        }
    }
}

fn look_once(storage: &dyn Storage, data_dir: &Path, dir: &Path) -> Result<View, ReadError> {
    let absent = || ReadError::Absent {
        dir: data_dir.to_owned(),
    };
    let names = match storage.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(absent()),
        names => names.at("list", dir)?,
    };
    let mut bases: Vec<u64> = names.iter().filter_map(|name| base_of(name)).collect();
    bases.sort_unstable();
    let mut segments: VecDeque<SegmentInfo> = VecDeque::new();
    let mut last = None;
    for base in bases {
        let path = segment_path(dir, base);
        let file = storage.open_read(&path).at("open", &path)?;
        let header = read_header(file.as_ref(), &path, base)?;
        let bytes = file.len().at("measure", &path)?;
        if let Some(before) = segments.back_mut() {
            before.end = Some(header.previous_end);
            before.newest = header.decided_at;
        }
        segments.push_back(SegmentInfo {
            base,
            salt: header.salt,
            bytes,
            end: None,
            newest: i64::MAX,
        });
        last = Some((file, header, path, bytes));
    }
    let (file, header, path, bytes) = last.ok_or_else(absent)?;
    let mut walker = Walker::new(file, header.salt, header.base, bytes);
    // Jumping over every batch reads the headers only.
    while walker.step(u64::MAX).at("read", &path)? == Step::Mark {}
    let mut end = (walker.durable().max(header.base), walker.durable_position());
    if is_abandoned(storage, data_dir) {
        let file = storage.open_read(&path).at("open", &path)?;
        let mut walker = Walker::new(file, header.salt, header.base, bytes);
        while let Step::Frame { .. } | Step::Mark = walker.step(end.0).at("read", &path)? {
            if walker.at_boundary() {
                end = end.max((walker.next(), walker.position()));
            }
        }
    }
    let (durable, position) = end;
    Ok(View {
        journal: header.journal,
        log: Log::new(segments, position),
        durable,
    })
}

/// Whether the process that last held the directory has ended without letting go. Where that
/// cannot be told it is taken to run: then only what it marked is shown.
fn is_abandoned(storage: &dyn Storage, data_dir: &Path) -> bool {
    let holder = || {
        let file = storage.open_read(&data_dir.join(crate::LOCK_FILE)).ok()?;
        let mut text = [0; 16];
        let read = read_full(file.as_ref(), &mut text, 0).ok()?;
        let pid = std::str::from_utf8(&text[..read])
            .ok()?
            .trim()
            .parse()
            .ok()?;
        Pid::from_raw(pid)
    };
    holder().is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

fn read_header(file: &dyn StorageFile, path: &Path, base: u64) -> Result<SegmentHeader, ReadError> {
    let mut block = [0; HEADER_BLOCK_BYTES as usize];
    let read = read_full(file, &mut block, 0).at("read", path)?;
    match SegmentHeader::decode(&block[..read]) {
        Ok(header) if header.base == base => Ok(header),
        Err(HeaderFault::Newer(found)) if found > FORMAT_VERSION => Err(ReadError::NewerFormat {
            path: path.to_owned(),
            found,
        }),
        Ok(_) | Err(_) => Err(Corruption {
            path: path.to_owned(),
            position: 0,
            offset: base,
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tidegate_event::Timestamp;

    use super::*;
    use crate::{Journal, RealStorage, Settings};

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                // The preparer may have renamed its own file meanwhile; it holds no record.
                match fs::copy(entry.path(), to) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    copied => assert!(copied.is_ok(), "{copied:?}"),
                }
            }
        }
    }

    /// A process id that no process has.
    fn gone() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn what_a_killed_process_acknowledged_last_is_shown_before_any_restart() {
        let (running, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let settings = Settings {
            segment_bytes: 4 << 20,
            ..Settings::default()
        };
        let journal = Journal::open(running.path(), Arc::new(RealStorage), settings).unwrap();
        for payload in [b"one", b"two"] {
            let mut reservation = journal.reserve(64, 1).unwrap();
            reservation.ticket(Timestamp(1)).fill(payload.to_vec());
        }
        while journal.durable() < 2 {
            std::thread::yield_now();
        }
        copy(running.path(), killed.path());
        fs::write(killed.path().join(crate::LOCK_FILE), gone().to_string()).unwrap();
        let snapshot = Snapshot::open(killed.path(), Arc::new(RealStorage)).unwrap();
        assert_eq!(snapshot.durable(), 2);
        let mut reader = snapshot.reader(0).unwrap();
        assert_eq!(
            reader.next_below(u64::MAX).unwrap().unwrap().payload,
            b"one"
        );
        assert_eq!(
            reader.next_below(u64::MAX).unwrap().unwrap().payload,
            b"two"
        );
        assert!(reader.next_below(u64::MAX).unwrap().is_none());
    }
}
