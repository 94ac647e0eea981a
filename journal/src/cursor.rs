//! Positions of the consumers. A cursor says what is done; it reads nothing itself.
//!
//! All positions are saved in one small file, replaced atomically about once a second. A file
//! that lags is safe: its consumer sees some records again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::Core;
use crate::error::{At, CursorError, FileError};
use crate::storage::{Storage, read_full};

/// Most cursors at once.
const CURSORS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 64;
/// Far above what 64 cursors need.
const FILE_BYTES_MAX: usize = 64 << 10;
const FILE: &str = "CURSORS";
/// Before the format version. A later format keeps this line and the checksum, so that it is told
/// from damage.
const HEADING: &str = "tidegate cursors ";
/// The format this build writes, and the newest it reads. The first had no durable mark.
pub const FORMAT_VERSION: u32 = 2;
/// Begins the line that tells how far the journal was durable when the file was written: a segment
/// that is missing since, or cut, is noticed by it.
const DURABLE: &str = "durable ";

/// Why a file's text cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Damaged,
    /// Written by a later release, in this format version.
    Newer(u32),
}

/// What a cursor may ask of retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorClass {
    /// Holds segments; at the disk budget ingest answers 503.
    Required,
    /// Is moved forward when its segments go, with a counted gap.
    BestEffort,
    /// Holds nothing and is not saved.
    Ephemeral,
}

impl CursorClass {
    fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::BestEffort => "best-effort",
            Self::Ephemeral => "ephemeral",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Required, Self::BestEffort, Self::Ephemeral]
            .into_iter()
            .find(|class| class.name() == text)
    }
}

/// A consumer's position. Clones share it.
#[derive(Clone, Debug)]
pub struct Cursor {
    core: Arc<Core>,
    name: Arc<str>,
    position: Arc<AtomicU64>,
}

impl Cursor {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every offset below is done.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Says that every offset below `offset` is done. Never goes back, nor past the durable
    /// watermark.
    pub fn advance(&self, offset: u64) {
        self.position
            .fetch_max(offset.min(self.core.durable()), Ordering::AcqRel);
    }

    /// Durable offsets not yet done.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.core.durable().saturating_sub(self.position())
    }
}

/// What is known of a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorInfo {
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: CursorClass,
    /// Every offset below is done.
    pub position: u64,
    /// Durable offsets not yet done.
    pub lag: u64,
    /// How often it was moved forward past records it had not seen.
    pub gaps: u64,
    /// How many offsets these were in all.
    pub lost_records: u64,
}

#[derive(Debug, Default)]
pub(crate) struct CursorTable {
    entries: BTreeMap<String, Entry>,
    /// As saved.
    durable: u64,
    /// An entry came, went or changed its class since the file was written.
    changed: bool,
}

#[derive(Debug)]
struct Entry {
    class: CursorClass,
    position: Arc<AtomicU64>,
    saved: u64,
    gaps: u64,
    lost_records: u64,
}

impl CursorTable {
    pub(crate) fn lowest_required(&self) -> Option<u64> {
        let required = self
            .entries
            .values()
            .filter(|entry| entry.class == CursorClass::Required);
        required
            .map(|entry| entry.position.load(Ordering::Acquire))
            .min()
    }

    pub(crate) fn lowest_saved_required(&self) -> Option<u64> {
        let required = self
            .entries
            .values()
            .filter(|entry| entry.class == CursorClass::Required);
        required.map(|entry| entry.saved).min()
    }

    /// The highest saved position or mark: proof that every offset below it was durable.
    pub(crate) fn highest_saved(&self) -> u64 {
        let positions = self.entries.values().map(|entry| entry.saved);
        positions.fold(self.durable, u64::max)
    }

    /// Everything below `oldest` is gone: best-effort cursors skip it, and it is counted.
    pub(crate) fn move_forward(&mut self, oldest: u64) {
        for entry in self.entries.values_mut() {
            if entry.class != CursorClass::BestEffort {
                continue;
            }
            let before = entry.position.fetch_max(oldest, Ordering::AcqRel);
            if before < oldest {
                entry.gaps += 1;
                entry.lost_records += oldest - before;
                self.changed = true;
            }
        }
    }

    pub(crate) fn infos(&self, durable: u64) -> Vec<CursorInfo> {
        let info = |(name, entry): (&String, &Entry)| {
            let position = entry.position.load(Ordering::Acquire);
            CursorInfo {
                name: name.clone(),
                class: entry.class,
                position,
                lag: durable.saturating_sub(position),
                gaps: entry.gaps,
                lost_records: entry.lost_records,
            }
        };
        self.entries.iter().map(info).collect()
    }

    /// True while anybody has a handle to it: only the owner of one makes further ones.
    pub(crate) fn is_in_use(&self, name: &str) -> bool {
        let entry = self.entries.get(name);
        entry.is_some_and(|entry| Arc::strong_count(&entry.position) > 1)
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let found = self.entries.remove(name).is_some();
        self.changed |= found;
        found
    }

    fn attach(
        &mut self,
        name: &str,
        class: CursorClass,
        start: u64,
    ) -> Result<Arc<AtomicU64>, CursorError> {
        if !self.entries.contains_key(name) && self.entries.len() >= CURSORS_MAX {
            return Err(CursorError::TooMany { most: CURSORS_MAX });
        }
        let fresh = || Entry {
            class,
            position: Arc::new(AtomicU64::new(start)),
            saved: start,
            gaps: 0,
            lost_records: 0,
        };
        let known = self.entries.contains_key(name);
        let entry = self.entries.entry(name.to_owned()).or_insert_with(fresh);
        self.changed |= !known || entry.class != class;
        entry.class = class;
        Ok(entry.position.clone())
    }

    fn is_dirty(&self, durable: u64) -> bool {
        let moved = |entry: &Entry| {
            entry.class != CursorClass::Ephemeral
                && entry.position.load(Ordering::Acquire) != entry.saved
        };
        self.changed || self.durable != durable || self.entries.values().any(moved)
    }

    /// The file's text, and the positions it tells.
    fn encode(&self, durable: u64) -> (String, Vec<(String, u64)>) {
        let mut text = format!("{HEADING}{FORMAT_VERSION}\n{DURABLE}{durable}\n");
        let mut positions = Vec::new();
        for (name, entry) in &self.entries {
            if entry.class == CursorClass::Ephemeral {
                continue;
            }
            let position = entry.position.load(Ordering::Acquire);
            let (class, gaps, lost) = (entry.class.name(), entry.gaps, entry.lost_records);
            let _ = writeln!(text, "{class} {position} {gaps} {lost} {name}");
            positions.push((name.clone(), position));
        }
        let crc = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "crc {crc:08x}");
        (text, positions)
    }

    fn decode(text: &str) -> Result<Self, Fault> {
        let lines = checked(text).ok_or(Fault::Damaged)?;
        let (heading, entries) = lines.split_once('\n').ok_or(Fault::Damaged)?;
        let version = heading.strip_prefix(HEADING);
        match version.and_then(|version| version.parse().ok()) {
            Some(1) => Self::read(entries, 0).ok_or(Fault::Damaged),
            Some(FORMAT_VERSION) => {
                let (mark, entries) = entries.split_once('\n').ok_or(Fault::Damaged)?;
                let durable = mark.strip_prefix(DURABLE).and_then(|n| n.parse().ok());
                Self::read(entries, durable.ok_or(Fault::Damaged)?).ok_or(Fault::Damaged)
            }
            Some(version) if version > FORMAT_VERSION => Err(Fault::Newer(version)),
            Some(_) | None => Err(Fault::Damaged),
        }
    }

    fn read(entries: &str, durable: u64) -> Option<Self> {
        let mut table = Self {
            durable,
            ..Self::default()
        };
        for line in entries.lines().take(CURSORS_MAX) {
            let mut words = line.split(' ');
            let class = CursorClass::parse(words.next()?)?;
            let saved: u64 = words.next()?.parse().ok()?;
            let gaps = words.next()?.parse().ok()?;
            let lost_records = words.next()?.parse().ok()?;
            let position = Arc::new(AtomicU64::new(saved));
            let entry = Entry {
                class,
                position,
                saved,
                gaps,
                lost_records,
            };
            table.entries.insert(words.next()?.to_owned(), entry);
        }
        Some(table)
    }

    /// The saved cursors; none when there is no file.
    ///
    /// # Errors
    /// [`CursorError::Damaged`], [`CursorError::NewerFormat`], or those of the storage.
    pub(crate) fn load(storage: &dyn Storage, data_dir: &Path) -> Result<Self, CursorError> {
        let path = data_dir.join(FILE);
        let file = match storage.open_read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            file => file.at("open", &path)?,
        };
        let mut bytes = vec![0; FILE_BYTES_MAX];
        let read = read_full(file.as_ref(), &mut bytes, 0).at("read", &path)?;
        let text = std::str::from_utf8(&bytes[..read]).map_err(|_| Fault::Damaged);
        text.and_then(Self::decode).map_err(|fault| match fault {
            Fault::Damaged => CursorError::Damaged { path },
            Fault::Newer(found) => CursorError::NewerFormat {
                path,
                found,
                supported: FORMAT_VERSION,
            },
        })
    }

    /// Replaces the file, atomically and durably.
    ///
    /// # Errors
    /// Those of the storage; the old file stays.
    pub(crate) fn write(
        storage: &dyn Storage,
        data_dir: &Path,
        text: &str,
    ) -> Result<(), FileError> {
        let (temporary, path) = (data_dir.join("CURSORS.tmp"), data_dir.join(FILE));
        let file = storage.create(&temporary).at("create", &temporary)?;
        file.write_at(text.as_bytes(), 0).at("write", &temporary)?;
        file.sync_data().at("sync", &temporary)?;
        storage.rename(&temporary, &path).at("rename", &temporary)?;
        storage.sync_dir(data_dir).at("sync", data_dir)
    }

    /// The text of the file without the cursor `name`; `None` when there is no such cursor.
    pub(crate) fn without(mut self, name: &str) -> Option<String> {
        self.remove(name).then(|| self.encode(self.durable).0)
    }
}

/// The lines before the checksum, where it holds.
fn checked(text: &str) -> Option<&str> {
    let (lines, crc) = text.rsplit_once("crc ")?;
    let crc = u32::from_str_radix(crc.trim_end(), 16).ok()?;
    (crc == crc32fast::hash(lines.as_bytes())).then_some(lines)
}

impl Core {
    pub(crate) fn attach_cursor(
        self: &Arc<Self>,
        name: &str,
        class: CursorClass,
    ) -> Result<Cursor, CursorError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(legal) {
            return Err(CursorError::Name);
        }
        let log = self.log.lock();
        let start = if class == CursorClass::Ephemeral {
            self.durable()
        } else {
            log.oldest()
        };
        let position = self.cursors.lock().attach(name, class, start)?;
        drop(log);
        self.ring_preparer();
        Ok(Cursor {
            core: self.clone(),
            name: name.into(),
            position,
        })
    }

    /// Saves the positions, if any has changed.
    ///
    /// # Errors
    /// Those of the storage; tried again with the next round.
    pub(crate) fn save_cursors(&self) -> Result<(), FileError> {
        let _one_writer = self.cursor_file.lock();
        let durable = self.durable();
        let (text, positions) = {
            let mut cursors = self.cursors.lock();
            if !cursors.is_dirty(durable) {
                return Ok(());
            }
            cursors.changed = false;
            cursors.encode(durable)
        };
        let written = CursorTable::write(self.storage.as_ref(), &self.data_dir, &text);
        let mut cursors = self.cursors.lock();
        if written.is_err() {
            cursors.changed = true;
            return written;
        }
        cursors.durable = durable;
        for (name, position) in positions {
            if let Some(entry) = cursors.entries.get_mut(&name) {
                entry.saved = position;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> CursorTable {
        let mut table = CursorTable::default();
        table.attach("kafka", CursorClass::Required, 7).unwrap();
        table.attach("lake", CursorClass::BestEffort, 3).unwrap();
        table.attach("live", CursorClass::Ephemeral, 9).unwrap();
        table
    }

    #[test]
    fn saved_cursors_read_back_without_the_ephemeral_ones() {
        let read = CursorTable::decode(&table().encode(5).0).unwrap();
        let infos = read.infos(10);
        assert_eq!(
            infos
                .iter()
                .map(|info| info.name.as_str())
                .collect::<Vec<_>>(),
            ["kafka", "lake"]
        );
        assert_eq!((infos[0].position, infos[0].lag), (7, 3));
        assert_eq!(
            (read.lowest_saved_required(), read.highest_saved()),
            (Some(7), 7)
        );
    }

    #[test]
    fn the_durable_mark_reads_back_and_a_file_of_before_there_was_one_is_read() {
        let read = CursorTable::decode(&table().encode(12).0).unwrap();
        assert_eq!(read.highest_saved(), 12);
        let lines = format!("{HEADING}1\nrequired 7 0 0 kafka\n");
        let crc = crc32fast::hash(lines.as_bytes());
        let read = CursorTable::decode(&format!("{lines}crc {crc:08x}\n")).unwrap();
        assert_eq!(read.highest_saved(), 7);
    }

    #[test]
    fn a_damaged_file_is_noticed() {
        let text = table().encode(5).0;
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let damaged = String::from_utf8(bytes).unwrap();
            let read = CursorTable::decode(&damaged);
            assert!(matches!(read, Err(Fault::Damaged)), "byte {at}");
            let cut = CursorTable::decode(&text[..at]);
            assert!(matches!(cut, Err(Fault::Damaged)), "cut at {at}");
        }
    }

    #[test]
    fn only_best_effort_cursors_are_moved_and_the_gap_is_counted() {
        let mut table = table();
        table.move_forward(10);
        let infos = table.infos(20);
        assert_eq!((infos[0].position, infos[0].gaps), (7, 0));
        assert_eq!(
            (infos[1].position, infos[1].gaps, infos[1].lost_records),
            (10, 1, 7)
        );
        assert_eq!((infos[2].position, infos[2].gaps), (9, 0));
    }

    #[test]
    fn there_is_a_bound_on_cursors() {
        let mut table = CursorTable::default();
        for n in 0..CURSORS_MAX {
            table
                .attach(&n.to_string(), CursorClass::Required, 0)
                .unwrap();
        }
        let refused = table.attach("more", CursorClass::Required, 0);
        assert!(matches!(
            refused,
            Err(CursorError::TooMany { most: CURSORS_MAX })
        ));
    }
}
