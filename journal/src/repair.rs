//! What an operator asks for when a start was refused: cut the journal at the damage, keep what
//! was cut beside it, and go on at offsets that were never used.
//!
//! Nothing is deleted. The new segment is made first: until the damaged ones are out of the way
//! the journal still refuses to open, so a repair that was interrupted is simply run again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cursor::CursorTable;
use crate::error::{At, Corruption, CursorError, FileError, OpenError};
use crate::frame::FRAME_HEADER_BYTES;
use crate::journal::lock_dir;
use crate::log::segment_path;
use crate::recovery::{
    Found, begin, corruption, find_tail, load_cursors, read_segment, verify_sealed,
};
use crate::segment::{SegmentHeader, base_of, mint_id};
use crate::settings::Settings;
use crate::storage::{Storage, StorageFile, read_full};
use crate::walk::{Step, Walker, marks_from};

const COPY_BYTES: usize = 1 << 20;

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The damage; `None` when there was none, and nothing was changed.
    pub damage: Option<Corruption>,
    /// What it cost; `None` when no segment was damaged.
    pub cut: Option<Cut>,
    /// The files that keep what was cut. The journal does not read them, and they do not count in the budget.
    pub aside: Vec<PathBuf>,
}

/// What a repair cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Offsets from here on are lost, as far as they existed.
    pub lost_from: u64,
    /// After the highest offset that was seen in the part cut off; more may have been there.
    pub lost_to: u64,
    /// The next offset to be given. Those in between are never used again.
    pub resumes_at: u64,
}

struct Damage {
    what: Corruption,
    /// Index of the segment.
    at: usize,
    /// The header itself, so nothing in the segment can be used.
    whole: bool,
}

struct Segments {
    bases: Vec<u64>,
    /// Those before the damaged header, if one is.
    sound: Vec<Found>,
    /// Every offset below was durable, by the saved cursors.
    known: u64,
}

/// Repairs the journal in `data_dir`, which must not be in use. A damaged cursor file is set
/// aside too: consumers then begin at the oldest offset.
///
/// # Errors
/// [`OpenError`]: in use, a newer format (which is no damage), or those of the storage.
pub fn repair(
    data_dir: &Path,
    storage: &Arc<dyn Storage>,
    settings: &Settings,
) -> Result<Repaired, OpenError> {
    settings.check()?;
    let _lock = lock_dir(storage.as_ref(), data_dir)?;
    let dir = crate::journal_dir(data_dir);
    let storage = storage.as_ref();
    let mut aside = Vec::new();
    let (known, bad_cursors) = saved_positions(storage, data_dir, &mut aside)?;
    let names = storage.list(&dir).at("list", &dir)?;
    let mut bases: Vec<u64> = names.iter().filter_map(|name| base_of(name)).collect();
    bases.sort_unstable();
    let mut segments = Segments {
        bases,
        sound: Vec::new(),
        known,
    };
    let Some(damage) = segments.find_damage(storage, &dir)? else {
        return Ok(Repaired {
            damage: bad_cursors,
            cut: None,
            aside,
        });
    };
    let mut repaired = segments.cut(storage, &dir, settings, damage)?;
    repaired.aside.append(&mut aside);
    Ok(repaired)
}

fn saved_positions(
    storage: &dyn Storage,
    data_dir: &Path,
    aside: &mut Vec<PathBuf>,
) -> Result<(u64, Option<Corruption>), OpenError> {
    match load_cursors(storage, data_dir) {
        Ok(table) => Ok((table.highest_saved(), None)),
        Err(OpenError::Corrupt(_)) => {
            let path = data_dir.join("CURSORS");
            let kept = data_dir.join("CURSORS.cut");
            storage.rename(&path, &kept).at("rename", &path)?;
            storage.sync_dir(data_dir).at("sync", data_dir)?;
            aside.push(kept);
            Ok((0, Some(corruption(&path, 0, 0))))
        }
        Err(error) => Err(error),
    }
}

impl Segments {
    fn find_damage(
        &mut self,
        storage: &dyn Storage,
        dir: &Path,
    ) -> Result<Option<Damage>, OpenError> {
        for (at, &base) in self.bases.iter().enumerate() {
            let found = match read_segment(storage, dir, base) {
                Ok(found) => found,
                Err(OpenError::Corrupt(what)) => {
                    return Ok(Some(Damage {
                        what,
                        at,
                        whole: true,
                    }));
                }
                Err(error) => return Err(error),
            };
            if let Some(before) = self.sound.last() {
                let end = found.header.previous_end;
                if found.header.journal != before.header.journal || end < before.header.base {
                    let what = corruption(&found.path, 0, base);
                    return Ok(Some(Damage {
                        what,
                        at,
                        whole: true,
                    }));
                }
                if let Some(what) = only_corruption(verify_sealed(before, end))? {
                    return Ok(Some(Damage {
                        what,
                        at: at - 1,
                        whole: false,
                    }));
                }
            }
            self.sound.push(found);
        }
        let Some(last) = self.sound.last() else {
            let what = corruption(dir, 0, 0);
            return Ok((self.known > 0).then_some(Damage {
                what,
                at: 0,
                whole: true,
            }));
        };
        let at = self.sound.len() - 1;
        let what = only_corruption(find_tail(last, self.known))?;
        Ok(what.map(|what| Damage {
            what,
            at,
            whole: false,
        }))
    }
}

fn only_corruption<T>(result: Result<T, OpenError>) -> Result<Option<Corruption>, OpenError> {
    match result {
        Ok(_) => Ok(None),
        Err(OpenError::Corrupt(what)) => Ok(Some(what)),
        Err(error) => Err(error),
    }
}

/// What the part to be cut tells of itself.
struct Lost {
    /// After the highest offset seen.
    end: u64,
    decided_at: i64,
    journal: Option<u128>,
}

fn survey(storage: &dyn Storage, dir: &Path, cut: &[u64]) -> Result<Lost, OpenError> {
    let end = cut.last().copied().unwrap_or(0);
    let mut lost = Lost {
        end,
        decided_at: i64::MIN,
        journal: None,
    };
    for &base in cut {
        let Ok(found) = read_segment(storage, dir, base) else {
            continue;
        };
        let salt = found.header.salt;
        let (durable, end) = marks_from(found.file.as_ref(), salt, 0).at("read", &found.path)?;
        lost.end = lost.end.max(durable).max(end);
        lost.decided_at = lost.decided_at.max(found.header.decided_at);
        lost.journal = lost.journal.or(Some(found.header.journal));
    }
    Ok(lost)
}

impl Segments {
    /// Begins a new segment after everything that can ever have been, then moves the rest away.
    fn cut(
        &self,
        storage: &dyn Storage,
        dir: &Path,
        settings: &Settings,
        damage: Damage,
    ) -> Result<Repaired, OpenError> {
        let kept = if damage.whole {
            damage.at
        } else {
            damage.at + 1
        };
        let last = kept.checked_sub(1).and_then(|at| self.sound.get(at));
        let (lost_from, decided_at) = match last {
            Some(last) => readable_until(last)?,
            None => (self.bases.first().copied().unwrap_or(0), i64::MIN),
        };
        let lost = survey(storage, dir, self.bases.get(damage.at..).unwrap_or(&[]))?;
        let journal = match last.map(|last| last.header.journal).or(lost.journal) {
            Some(journal) => journal,
            None => mint_id(storage.entropy().at("read random bits for", dir)?),
        };
        let lost_to = lost.end.max(lost_from).max(self.known);
        // The damaged part may have held as many frames as fit into its file.
        let file_bytes = last.map_or(settings.segment_bytes, |last| last.bytes);
        let most = file_bytes.max(settings.segment_bytes) / FRAME_HEADER_BYTES as u64;
        let base = lost_to + most + 1;
        let header = SegmentHeader {
            journal,
            shard: 0,
            base,
            previous_end: last.map_or(base, |_| lost_from),
            decided_at: decided_at.max(lost.decided_at),
            salt: 0,
        };
        begin(storage, dir, settings, None, Some(header))?;
        let mut aside = Vec::new();
        if let Some(last) = last.filter(|_| !damage.whole) {
            aside.push(copy_rest(storage, dir, last, damage.what.position)?);
        }
        for &base in self.bases.iter().skip(kept).rev() {
            aside.push(move_aside(storage, dir, base)?);
        }
        let cut = Some(Cut {
            lost_from,
            lost_to,
            resumes_at: base,
        });
        Ok(Repaired {
            damage: Some(damage.what),
            cut,
            aside,
        })
    }
}

fn move_aside(storage: &dyn Storage, dir: &Path, base: u64) -> Result<PathBuf, FileError> {
    let path = segment_path(dir, base);
    let kept = path.with_extension("seg.cut");
    storage.rename(&path, &kept).at("rename", &path)?;
    storage.sync_dir(dir).at("sync", dir)?;
    Ok(kept)
}

/// The offset after the last readable frame, also within a batch that is damaged further on, and the
/// highest time up to there.
fn readable_until(found: &Found) -> Result<(u64, i64), FileError> {
    let header = &found.header;
    let mut walker = Walker::new(found.file.clone(), header.salt, header.base, found.bytes);
    let mut newest = header.decided_at;
    loop {
        match walker.step(0).at("read", &found.path)? {
            Step::Frame { decided_at, .. } => newest = newest.max(decided_at),
            Step::Mark => {}
            Step::End | Step::Unreadable => return Ok((walker.next(), newest)),
        }
    }
}

fn copy_rest(
    storage: &dyn Storage,
    dir: &Path,
    from: &Found,
    position: u64,
) -> Result<PathBuf, FileError> {
    let path = from.path.with_extension("seg.cut");
    let copy = storage.create(&path).at("create", &path)?;
    copy_bytes(from.file.as_ref(), position, copy.as_ref()).at("copy to", &path)?;
    storage.sync_dir(dir).at("sync", dir)?;
    Ok(path)
}

fn copy_bytes(from: &dyn StorageFile, start: u64, to: &dyn StorageFile) -> std::io::Result<()> {
    let mut chunk = vec![0; COPY_BYTES];
    let mut position = start;
    loop {
        let read = read_full(from, &mut chunk, position)?;
        if read == 0 {
            return to.sync_data();
        }
        to.write_at(&chunk[..read], position - start)?;
        position += read as u64;
    }
}

/// Forgets a saved cursor of a journal that is not in use.
///
/// # Errors
/// [`CursorError`]; [`CursorError::Locked`] when a gateway runs: ask it instead.
pub fn drop_saved_cursor(
    data_dir: &Path,
    storage: &dyn Storage,
    name: &str,
) -> Result<(), CursorError> {
    let _lock = lock_dir(storage, data_dir).map_err(|error| match error {
        OpenError::Locked { pid, .. } => CursorError::Locked { pid },
        OpenError::Io(error) => CursorError::Io(error),
        OpenError::Settings(_) | OpenError::Corrupt(_) | OpenError::NewerFormat { .. } => {
            CursorError::Locked { pid: None }
        }
    })?;
    let text = CursorTable::load(storage, data_dir)?
        .without(name)
        .ok_or(CursorError::Unknown)?;
    Ok(CursorTable::write(storage, data_dir, &text)?)
}
