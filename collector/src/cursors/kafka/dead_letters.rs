//! Records that Kafka refused for good: two bounded NDJSON files, the older one dropped when both
//! are full. A row is durable before the cursor moves past its record.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::formats::dead_letters::{FILES, FORMAT};

const CURRENT: &str = FILES[0];
const OLDER: &str = FILES[1];

/// Bytes that dead letters may take, whatever their number: half of it for each of the two files.
pub const BYTES_MAX: u64 = 64 << 20;

/// One refused message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Of the row. Rows of version 1 do not say it.
    #[serde(default = "unversioned")]
    pub version: u32,
    /// Id of the journal it came from.
    pub journal: String,
    /// Offset of its record there.
    pub offset: u64,
    /// Where it was to go.
    pub topic: String,
    /// Its key.
    pub key: Option<String>,
    /// What Kafka said.
    pub reason: String,
    /// RFC 3339.
    pub refused_at: String,
    /// Size of the value.
    pub bytes: usize,
    /// The value itself, a JSON text.
    pub value: String,
}

const fn unversioned() -> u32 {
    1
}

impl DeadLetter {
    /// The version that is written.
    pub const VERSION: u32 = FORMAT;
}

/// The directory with both files. One process writes.
#[derive(Debug)]
pub(super) struct DeadLetters {
    dir: PathBuf,
    rows_max: usize,
    current: File,
    rows: usize,
    bytes: u64,
    older_bytes: u64,
}

impl DeadLetters {
    /// Opens or makes the directory; keeps at most `rows_max` rows (at least two).
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn open(dir: &Path, rows_max: usize) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join(CURRENT);
        mend(&path)?;
        let current = OpenOptions::new().create(true).append(true).open(&path)?;
        File::open(dir)?.sync_all()?;
        Ok(Self {
            rows_max: rows_max.max(2),
            rows: lines(&path)?.len(),
            bytes: current.metadata()?.len(),
            older_bytes: size(&dir.join(OLDER)),
            current,
            dir: dir.to_owned(),
        })
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.older_bytes
    }

    /// Adds a row and makes it durable.
    ///
    /// # Errors
    /// Of the file system; the row may then be there in part, which reading skips.
    pub(super) fn add(&mut self, letter: &DeadLetter) -> io::Result<()> {
        let mut row = serde_json::to_vec(letter)?;
        row.push(b'\n');
        let full = self.bytes + row.len() as u64 > BYTES_MAX / 2;
        if self.rows >= self.rows_max / 2 || (full && self.rows > 0) {
            self.rotate()?;
        }
        self.current.write_all(&row)?;
        self.current.sync_data()?;
        self.rows += 1;
        self.bytes += row.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let path = self.dir.join(CURRENT);
        fs::rename(&path, self.dir.join(OLDER))?;
        self.current = OpenOptions::new().create(true).append(true).open(&path)?;
        File::open(&self.dir)?.sync_all()?;
        self.older_bytes = self.bytes;
        self.bytes = 0;
        self.rows = 0;
        Ok(())
    }
}

/// The newest rows kept in `dir`, at most `limit`, oldest first. None where there is no directory.
///
/// # Errors
/// Of the file system.
pub fn list(dir: &Path, limit: usize) -> io::Result<Vec<DeadLetter>> {
    let mut rows = lines(&dir.join(OLDER))?;
    rows.extend(lines(&dir.join(CURRENT))?);
    let skip = rows.len().saturating_sub(limit);
    Ok(rows
        .iter()
        .skip(skip)
        .filter_map(|row| serde_json::from_slice(row).ok())
        .collect())
}

/// Ends a row that a crash cut short, so that the next one does not run into it.
fn mend(path: &Path) -> io::Result<()> {
    let Ok(bytes) = fs::read(path) else {
        return Ok(());
    };
    if bytes.last().is_some_and(|last| *last != b'\n') {
        OpenOptions::new()
            .append(true)
            .open(path)?
            .write_all(b"\n")?;
    }
    Ok(())
}

fn lines(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    match File::open(path) {
        Ok(file) => BufReader::new(file).split(b'\n').collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(offset: u64) -> DeadLetter {
        DeadLetter {
            version: DeadLetter::VERSION,
            journal: "j".to_owned(),
            offset,
            topic: "t".to_owned(),
            key: None,
            reason: "MessageSizeTooLarge".to_owned(),
            refused_at: "2026-01-01T00:00:00.000Z".to_owned(),
            bytes: 2,
            value: "{}".to_owned(),
        }
    }

    fn offsets(dir: &Path, limit: usize) -> Vec<u64> {
        let rows = list(dir, limit).unwrap();
        rows.iter().map(|row| row.offset).collect()
    }

    #[test]
    fn rows_survive_a_restart_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut letters = DeadLetters::open(dir.path(), 10).unwrap();
        letters.add(&letter(1)).unwrap();
        letters.add(&letter(2)).unwrap();
        drop(letters);
        let mut letters = DeadLetters::open(dir.path(), 10).unwrap();
        letters.add(&letter(3)).unwrap();
        assert_eq!(offsets(dir.path(), 10), [1, 2, 3]);
        assert_eq!(offsets(dir.path(), 2), [2, 3]);
        assert_eq!(list(dir.path(), 1).unwrap(), [letter(3)]);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut letters = DeadLetters::open(dir.path(), 4).unwrap();
        for offset in 0..100 {
            letters.add(&letter(offset)).unwrap();
            let kept = offsets(dir.path(), 100);
            assert!(kept.len() <= 4);
            assert_eq!(kept.last(), Some(&offset));
        }
        let on_disk = size(&dir.path().join(CURRENT)) + size(&dir.path().join(OLDER));
        assert_eq!(letters.bytes(), on_disk);
    }

    #[test]
    fn a_row_cut_by_a_crash_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let mut letters = DeadLetters::open(dir.path(), 10).unwrap();
        letters.add(&letter(1)).unwrap();
        letters
            .current
            .write_all(b"{\"journal\":\"j\",\"off")
            .unwrap();
        drop(letters);
        let mut letters = DeadLetters::open(dir.path(), 10).unwrap();
        letters.add(&letter(2)).unwrap();
        assert_eq!(offsets(dir.path(), 10), [1, 2]);
    }

    #[test]
    fn a_row_without_a_version_is_of_version_1() {
        let dir = tempfile::tempdir().unwrap();
        // As Tidegate 0.1.0 wrote it.
        let row = r#"{"journal":"j","offset":1,"topic":"t","key":null,"reason":"MessageSizeTooLarge","refused_at":"2026-01-01T00:00:00.000Z","bytes":2,"value":"{}"}"#;
        fs::write(dir.path().join(CURRENT), format!("{row}\n")).unwrap();
        let mut letters = DeadLetters::open(dir.path(), 10).unwrap();
        letters.add(&letter(2)).unwrap();
        let first = DeadLetter {
            version: 1,
            ..letter(1)
        };
        assert_eq!(list(dir.path(), 10).unwrap(), [first, letter(2)]);
    }

    #[test]
    fn no_directory_is_no_dead_letters() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(list(&dir.path().join("none"), 5).unwrap(), []);
    }
}
