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
