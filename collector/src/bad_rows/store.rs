//! Two files of rows, the current and the previous one: when the current one is half the allowed
//! size or spans half the allowed age, it becomes the previous one and the oldest rows go.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tidegate_event::{Json, Timestamp};

pub(super) const CURRENT: &str = "current.ndjson";
pub(super) const PREVIOUS: &str = "previous.ndjson";
/// More than any line takes: reading back this much for each row asked for finds it.
const LINE_BYTES_MAX: u64 = 8 << 10;

#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    current: File,
    current_bytes: u64,
    previous_bytes: u64,
    file_bytes_max: u64,
    retention_ms: u64,
}

impl Store {
    pub(super) fn open(dir: &Path, bytes_max: u64, retention_ms: u64) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut current = open_current(dir)?;
        close_torn_line(&mut current)?;
        Ok(Self {
            current_bytes: current.metadata()?.len(),
            previous_bytes: std::fs::metadata(dir.join(PREVIOUS)).map_or(0, |meta| meta.len()),
            dir: dir.to_owned(),
            current,
            file_bytes_max: bytes_max / 2,
            retention_ms,
        })
    }

    /// Appends a line, which ends in a line feed. Not synced: bad rows may be lost with the power.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if length > self.file_bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.current_bytes + length > self.file_bytes_max {
            self.rotate()?;
        }
        self.current.write_all(line)?;
        self.current_bytes += length;
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.current_bytes + self.previous_bytes
    }

    /// The newest `n` lines, newest first.
    pub(super) fn last(&self, n: usize) -> io::Result<Vec<String>> {
        let mut lines = tail(&self.dir.join(CURRENT), n)?;
        if lines.len() < n {
            lines.extend(tail(&self.dir.join(PREVIOUS), n - lines.len())?);
        }
        Ok(lines)
    }

    /// Removes the previous file where its oldest row is over the allowed age, and makes the current
    /// one the previous where its oldest row is half as old. So a row goes between half the age and
    /// the age. Gives the number of rows removed.
    pub(super) fn expire(&mut self, now: Timestamp) -> io::Result<u64> {
        let older_than = |path: &Path, ms: u64| -> io::Result<bool> {
            let at = oldest(path)?;
            Ok(at.is_some_and(|at| u64::try_from(now.since(at)).is_ok_and(|age| age >= ms)))
        };
        let previous = self.dir.join(PREVIOUS);
        let mut removed = 0;
        // The check of the age comes before the second file's rotation would replace the first.
        let rotate = older_than(&self.dir.join(CURRENT), self.retention_ms / 2)?;
        if rotate || older_than(&previous, self.retention_ms)? {
            removed += rows_in(&previous)?;
            remove(&previous)?;
            self.previous_bytes = 0;
        }
        if rotate {
            self.rotate()?;
            // After a long stop the rows may be over the whole age at once.
            if older_than(&previous, self.retention_ms)? {
                removed += rows_in(&previous)?;
                remove(&previous)?;
                self.previous_bytes = 0;
            }
        }
        Ok(removed)
    }

    fn rotate(&mut self) -> io::Result<()> {
        std::fs::rename(self.dir.join(CURRENT), self.dir.join(PREVIOUS))?;
        self.previous_bytes = std::mem::take(&mut self.current_bytes);
        self.current = open_current(&self.dir)?;
        Ok(())
    }
}

/// When the first row that can be read was written.
fn oldest(path: &Path) -> io::Result<Option<Timestamp>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    for line in BufReader::new(file).lines() {
        let Ok(line) = line else { continue };
        let row: Result<Json<'_>, _> = serde_json::from_str(&line);
        let at = row.ok().and_then(|row| {
            let at = row.get("at").and_then(Json::as_str)?;
            Timestamp::parse_rfc3339(at)
        });
        if at.is_some() {
            return Ok(at);
        }
    }
    Ok(None)
}

fn rows_in(path: &Path) -> io::Result<u64> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        read => read?,
    };
    Ok(bytes.iter().filter(|byte| **byte == b'\n').count() as u64)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A crash may have cut the last line: the next row starts on a line of its own.
fn close_torn_line(file: &mut File) -> io::Result<()> {
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last == *b"\n" {
        Ok(())
    } else {
        file.write_all(b"\n")
    }
}

fn open_current(dir: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(dir.join(CURRENT))
}

fn tail(path: &Path, n: usize) -> io::Result<Vec<String>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LINE_BYTES_MAX * n as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(length - from).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // A line that a crash cut short does not end in a brace and is left out, as is a first one
    // that the window cut.
    Ok(text
        .lines()
        .rev()
        .filter(|line| line.starts_with('{') && line.ends_with('}'))
        .take(n)
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_left_out_and_harms_no_other() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(CURRENT), "{\"a\":1}\n{\"b\":").unwrap();
        let mut store = Store::open(dir.path(), 1 << 20, 1_000).unwrap();
        assert_eq!(store.last(5).unwrap(), ["{\"a\":1}"]);
        store.append(b"{\"c\":2}\n").unwrap();
        assert_eq!(store.last(5).unwrap(), ["{\"c\":2}", "{\"a\":1}"]);
    }

    #[test]
    fn a_line_larger_than_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), 64, 1_000).unwrap();
        assert!(store.append(&[b'x'; 33]).is_err());
        store.append(b"{}\n").unwrap();
        assert_eq!(store.bytes(), 3);
    }
}
