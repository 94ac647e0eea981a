//! What the disk holds after any end of the process before. Reads, and clears a torn tail;
//! never judges damage away: that is the repair's, and said by name.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cursor::CursorTable;
use crate::error::{At, Corruption, CursorError, FileError, OpenError};
use crate::log::{SegmentInfo, segment_path};
use crate::preparer::{Spare, collect_spares, fill_spare};
use crate::segment::{
    FORMAT_VERSION, HEADER_BLOCK_BYTES, HeaderFault, SegmentHeader, base_of, mint_id,
};
use crate::settings::Settings;
use crate::storage::{Storage, StorageFile, read_full};
use crate::walk::{Step, Walker, marks_from};

const CLEAR_BYTES: usize = 1 << 20;

/// A segment with a sound header.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) header: SegmentHeader,
    pub(crate) bytes: u64,
}

/// A segment with a sound header, its file closed again: there may be thousands.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    header: SegmentHeader,
    bytes: u64,
}

impl From<&Found> for Known {
    fn from(found: &Found) -> Self {
        Self {
            path: found.path.clone(),
            header: found.header,
            bytes: found.bytes,
        }
    }
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) position: u64,
    pub(crate) next: u64,
    pub(crate) decided_at: i64,
    /// `decided_at` of the segment's first record.
    pub(crate) began_at: Option<i64>,
    /// The highest durable mark written down.
    pub(crate) marked: u64,
}

/// All that is needed to go on.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: VecDeque<SegmentInfo>,
    pub(crate) active: Found,
    pub(crate) tail: Tail,
    pub(crate) spares: Vec<Spare>,
    pub(crate) cursors: CursorTable,
}

/// Recovers the journal in `data_dir`, or begins one. The caller holds the lock.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn recover(
    storage: &dyn Storage,
    data_dir: &Path,
    dir: &Path,
    settings: &Settings,
) -> Result<Recovered, OpenError> {
    let cursors = load_cursors(storage, data_dir)?;
    // Retention relies on these positions: after a kill the file's name may not be durable yet.
    storage.sync_dir(data_dir).at("sync", data_dir)?;
    let names = storage.list(dir).at("list", dir)?;
    let mut spares = collect_spares(storage, dir, &names, settings.segment_bytes)?;
    let known = read_segments(storage, dir, &names)?;
    check_chain(&known)?;
    let needed = cursors.lowest_saved_required().unwrap_or(0);
    for pair in known.windows(2) {
        let end = pair[1].header.previous_end;
        // Segments below every required cursor are verified when they are read.
        if end > needed {
            verify_sealed(&read_segment(storage, dir, pair[0].header.base)?, end)?;
        }
    }
    let mut segments = infos(&known);
    let active = match known.last() {
        Some(last) => read_segment(storage, dir, last.header.base)?,
        None if cursors.highest_saved() > 0 => return Err(corruption(dir, 0, 0).into()),
        None => {
            let first = begin(storage, dir, settings, spares.pop(), None)?;
            segments = infos(&[Known::from(&first)]);
            first
        }
    };
    let tail = find_tail(&active, cursors.highest_saved())?;
    clear_rest(&active, tail.position)?;
    // After a kill the last batch may stand in the page cache only.
    active.file.sync_data().at("sync", &active.path)?;
    storage.sync_dir(dir).at("sync", dir)?;
    let mut cursors = cursors;
    cursors.move_forward(segments.front().map_or(0, |segment| segment.base));
    Ok(Recovered {
        segments,
        active,
        tail,
        spares,
        cursors,
    })
}

pub(crate) fn load_cursors(
    storage: &dyn Storage,
    data_dir: &Path,
) -> Result<CursorTable, OpenError> {
    CursorTable::load(storage, data_dir).map_err(|error| match error {
        CursorError::Io(error) => OpenError::Io(error),
        CursorError::Damaged { path } => corruption(&path, 0, 0).into(),
        CursorError::NewerFormat {
            path,
            found,
            supported,
        } => OpenError::NewerFormat {
            path,
            found,
            supported,
        },
        CursorError::Name
        | CursorError::TooMany { .. }
        | CursorError::Unknown
        | CursorError::InUse
        | CursorError::Locked { .. } => corruption(data_dir, 0, 0).into(),
    })
}

pub(crate) fn corruption(path: &Path, position: u64, offset: u64) -> Corruption {
    Corruption {
        path: path.to_owned(),
        position,
        offset,
    }
}

/// Reads the header of every segment, oldest first; one file is open at a time.
///
/// # Errors
/// [`OpenError`], also for a header that is damaged or newer than this build.
fn read_segments(
    storage: &dyn Storage,
    dir: &Path,
    names: &[String],
) -> Result<Vec<Known>, OpenError> {
    let mut bases: Vec<u64> = names.iter().filter_map(|name| base_of(name)).collect();
    bases.sort_unstable();
    bases
        .into_iter()
        .map(|base| Ok(Known::from(&read_segment(storage, dir, base)?)))
        .collect()
}

/// Opens one segment and reads its header.
///
/// # Errors
/// As [`read_segments`].
pub(crate) fn read_segment(
    storage: &dyn Storage,
    dir: &Path,
    base: u64,
) -> Result<Found, OpenError> {
    let path = segment_path(dir, base);
    let file = storage.open(&path).at("open", &path)?;
    let bytes = file.len().at("measure", &path)?;
    let mut block = [0; HEADER_BLOCK_BYTES as usize];
    let read = read_full(file.as_ref(), &mut block, 0).at("read", &path)?;
    match SegmentHeader::decode(&block[..read]) {
        Ok(header) if header.base == base && header.previous_end <= base => Ok(Found {
            path,
            file,
            header,
            bytes,
        }),
        Err(HeaderFault::Newer(found)) => Err(OpenError::NewerFormat {
            path,
            found,
            supported: FORMAT_VERSION,
        }),
        Ok(_) | Err(HeaderFault::Damaged) => Err(corruption(&path, 0, base).into()),
    }
}

/// Begins a journal, or goes on with one after a repair: `after` is the header to build on.
///
/// # Errors
/// Those of the storage.
pub(crate) fn begin(
    storage: &dyn Storage,
    dir: &Path,
    settings: &Settings,
    spare: Option<Spare>,
    after: Option<SegmentHeader>,
) -> Result<Found, FileError> {
    let spare = match spare {
        Some(spare) => spare,
        None => {
            let opened = storage.open_dir(dir).at("open", dir)?;
            let dir = (dir, opened.as_ref());
            fill_spare(storage, dir, settings.segment_bytes, || false)?
                .expect("nobody stops the first segment")
        }
    };
    let header = match after {
        Some(header) => SegmentHeader {
            salt: spare.salt,
            ..header
        },
        None => {
            let random = storage.entropy().at("read random bits for", dir)?;
            let journal = mint_id(random);
            let (base, decided_at) = (0, i64::MIN);
            SegmentHeader {
                journal,
                shard: 0,
                base,
                previous_end: 0,
                decided_at,
                salt: spare.salt,
            }
        }
    };
    let path = segment_path(dir, header.base);
    spare
        .file
        .write_at(&header.encode(), 0)
        .at("write", &spare.path)?;
    spare.file.sync_data().at("sync", &spare.path)?;
    storage
        .rename(&spare.path, &path)
        .at("rename", &spare.path)?;
    storage.sync_dir(dir).at("sync", dir)?;
    Ok(Found {
        path,
        file: spare.file,
        header,
        bytes: spare.bytes,
    })
}

/// Each segment must begin where the one before can have ended, in the same journal.
fn check_chain(found: &[Known]) -> Result<(), Corruption> {
    for pair in found.windows(2) {
        let (before, after) = (&pair[0].header, &pair[1].header);
        if after.journal != before.journal || after.previous_end < before.base {
            return Err(corruption(&pair[1].path, 0, after.base));
        }
    }
    Ok(())
}

/// Reads a sealed segment to `end`. Anything unreadable before is damage: it was durable before
/// the next segment was begun.
///
/// # Errors
/// [`OpenError::Corrupt`], or those of the storage.
pub(crate) fn verify_sealed(found: &Found, end: u64) -> Result<(), OpenError> {
    let header = &found.header;
    let mut walker = Walker::new(found.file.clone(), header.salt, header.base, found.bytes);
    while walker.next() < end {
        match walker.step(0).at("read", &found.path)? {
            Step::Frame { .. } | Step::Mark => {}
            Step::End | Step::Unreadable => {
                return Err(corruption(&found.path, walker.batch_start(), walker.next()).into());
            }
        }
    }
    Ok(())
}

fn infos(found: &[Known]) -> VecDeque<SegmentInfo> {
    let info = |(at, segment): (usize, &Known)| {
        let next = found.get(at + 1).map(|next| next.header);
        SegmentInfo {
            base: segment.header.base,
            salt: segment.header.salt,
            bytes: segment.bytes,
            end: next.map(|next| next.previous_end),
            newest: next.map_or(i64::MAX, |next| next.decided_at),
        }
    };
    found.iter().enumerate().map(info).collect()
}

/// Finds the end of the last segment: after the last whole batch. `known` is an offset below
/// which everything is known to have been durable.
///
/// # Errors
/// [`OpenError::Corrupt`] when the end lies below a durable mark, or those of the storage.
pub(crate) fn find_tail(active: &Found, known: u64) -> Result<Tail, OpenError> {
    let header = &active.header;
    let mut walker = Walker::new(active.file.clone(), header.salt, header.base, active.bytes);
    let mut tail = Tail {
        position: walker.position(),
        next: walker.next(),
        decided_at: header.decided_at,
        began_at: None,
        marked: header.base,
    };
    let mut decided_at = tail.decided_at;
    let mut began_at = None;
    loop {
        match walker.step(0).at("read", &active.path)? {
            Step::Frame { decided_at: at, .. } => {
                decided_at = decided_at.max(at);
                began_at = began_at.or(Some(at));
            }
            Step::Mark => {}
            Step::End | Step::Unreadable => break,
        }
        if walker.at_boundary() {
            let (position, next) = (walker.position(), walker.next());
            tail = Tail {
                position,
                next,
                decided_at,
                began_at,
                marked: walker.durable(),
            };
        }
    }
    let (marked, _) =
        marks_from(active.file.as_ref(), header.salt, tail.position).at("read", &active.path)?;
    if marked.max(known) > tail.next {
        return Err(corruption(&active.path, tail.position, tail.next).into());
    }
    Ok(tail)
}

/// Zeroes what is behind the tail, so that nothing of a torn batch is ever taken for a later one.
fn clear_rest(active: &Found, from: u64) -> Result<(), FileError> {
    let mut chunk = vec![0; CLEAR_BYTES];
    let zeros = vec![0; CLEAR_BYTES];
    let mut position = from;
    loop {
        let read =
            read_full(active.file.as_ref(), &mut chunk, position).at("read", &active.path)?;
        if read == 0 {
            return Ok(());
        }
        if chunk[..read] != zeros[..read] {
            active
                .file
                .write_at(&zeros[..read], position)
                .at("write", &active.path)?;
        }
        position += read as u64;
    }
}
