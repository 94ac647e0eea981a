//! The version of rows that are lines of JSON. A row begins with it; one without is of version 1.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

const BEGINNING: &[u8] = b"{\"version\":";
/// Bytes that the version and what stands before it take at most.
const HEAD_BYTES: u64 = 32;
const CHUNK_BYTES: u64 = 64 << 10;

/// The version of the newest row in `files` of `dir`, which are given newest first; None where there
/// is no row. A later build appends its rows, so the newest has the highest version.
///
/// # Errors
/// Of the file system.
pub(super) fn newest_version(dir: &Path, files: [&str; 2]) -> io::Result<Option<u32>> {
    for name in files {
        let mut file = match File::open(dir.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let length = file.seek(SeekFrom::End(0))?;
        if length > 0 {
            let begins_at = last_line(&mut file, length)?;
            return version_at(&mut file, begins_at).map(Some);
        }
    }
    Ok(None)
}

/// Where the last line begins. A line feed at the very end ends it.
fn last_line(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length.saturating_sub(1);
    let mut chunk = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(CHUNK_BYTES);
        chunk.clear();
        file.seek(SeekFrom::Start(from))?;
        file.take(end - from).read_to_end(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

fn version_at(file: &mut File, begins_at: u64) -> io::Result<u32> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(begins_at))?;
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    let digits = head.strip_prefix(BEGINNING).unwrap_or_default();
    let end = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let digits = &digits[..end.count()];
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    Ok(number.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 2] = ["new", "old"];

    fn found(old: &str, new: &str) -> Option<u32> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("old"), old).unwrap();
        std::fs::write(dir.path().join("new"), new).unwrap();
        newest_version(dir.path(), FILES).unwrap()
    }

    #[test]
    fn the_newest_row_tells_the_version() {
        let long = format!("{{\"version\":2,\"a\":\"{}\"}}\n", "x".repeat(200_000));
        for (old, new, version) in [
            ("", "", None),
            ("{\"at\":1}\n", "", Some(1)),
            (
                "{\"at\":1}\n",
                "{\"at\":1}\n{\"version\":3,\"at\":1}\n",
                Some(3),
            ),
            ("{\"version\":7}\n", "{\"at\":1}\n{\"vers", Some(1)),
            ("{\"at\":1}\n", &long, Some(2)),
            ("", &format!("{{\"at\":1}}\n{long}"), Some(2)),
            ("", "{\"version\":99999999999}\n", Some(1)),
        ] {
            assert_eq!(
                found(old, new),
                version,
                "{old} {}",
                &new[..new.len().min(40)]
            );
        }
    }

    #[test]
    fn no_directory_has_no_version() {
        let dir = tempfile::tempdir().unwrap();
        let none = newest_version(&dir.path().join("none"), FILES);
        assert_eq!(none.unwrap(), None);
    }
}
