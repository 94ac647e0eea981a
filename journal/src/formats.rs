//! Looks whether this build reads what a data directory holds, before the journal is opened. Only
//! reads; damage is left to the recovery, which names it.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::{At, OpenError};
use crate::log::segment_path;
use crate::recovery::load_cursors;
use crate::segment::{FORMAT_VERSION, HEADER_BLOCK_BYTES, HeaderFault, SegmentHeader, base_of};
use crate::storage::{Storage, read_full};

/// Checks the segments and the cursor file of `data_dir`; fine where there are none.
///
/// # Errors
/// [`OpenError::NewerFormat`], or those of the storage.
pub fn check_formats(data_dir: &Path, storage: &dyn Storage) -> Result<(), OpenError> {
    match load_cursors(storage, data_dir) {
        Ok(_) | Err(OpenError::Corrupt(_)) => {}
        Err(error) => return Err(error),
    }
    let dir = crate::journal_dir(data_dir);
    let names = match storage.list(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        names => names.at("list", &dir)?,
    };
    let mut block = [0; HEADER_BLOCK_BYTES as usize];
    for base in names.iter().filter_map(|name| base_of(name)) {
        let path = segment_path(&dir, base);
        let file = match storage.open_read(&path) {
            // A running gateway retired it.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            file => file.at("open", &path)?,
        };
        let read = read_full(file.as_ref(), &mut block, 0).at("read", &path)?;
        if let Err(HeaderFault::Newer(found)) = SegmentHeader::decode(&block[..read]) {
            return Err(OpenError::NewerFormat {
                path,
                found,
                supported: FORMAT_VERSION,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::RealStorage;

    fn header(version: u32) -> Vec<u8> {
        let header = SegmentHeader {
            journal: 1,
            shard: 0,
            base: 0,
            previous_end: 0,
            decided_at: 0,
            salt: 0,
        };
        let mut bytes = header.encode();
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn cursors(version: u32) -> String {
        let text = format!("tidegate cursors {version}\ndurable 0\n");
        format!("{text}crc {:08x}\n", crc32fast::hash(text.as_bytes()))
    }

    #[test]
    fn a_newer_segment_or_cursor_file_is_named() {
        for (segment, cursor, newer) in [
            (FORMAT_VERSION, 2, None),
            (FORMAT_VERSION + 1, 2, Some(".seg")),
            (FORMAT_VERSION, 3, Some("CURSORS")),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("journal")).unwrap();
            let segment_file = segment_path(&crate::journal_dir(dir.path()), 0);
            fs::write(segment_file, header(segment)).unwrap();
            fs::write(dir.path().join("CURSORS"), cursors(cursor)).unwrap();
            let checked = check_formats(dir.path(), &RealStorage);
            match (newer, checked) {
                (None, Ok(())) => {}
                (Some(name), Err(OpenError::NewerFormat { path, .. })) => {
                    assert!(path.to_string_lossy().ends_with(name));
                }
                (newer, checked) => panic!("{newer:?}: {checked:?}"),
            }
        }
    }

    #[test]
    fn damage_is_left_to_the_recovery() {
        let dir = tempfile::tempdir().unwrap();
        check_formats(dir.path(), &RealStorage).unwrap();
        fs::write(dir.path().join("CURSORS"), "no list").unwrap();
        check_formats(dir.path(), &RealStorage).unwrap();
    }
}
