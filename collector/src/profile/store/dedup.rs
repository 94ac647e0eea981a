//! Deduplication keys at rest: rows of many, each named by its first offset.

use super::{Store, StoreError};

/// Deduplication keys of one stretch of the journal: key and offset.
pub type DedupRows = Vec<(u128, u64)>;

/// Bytes of one key with its offset.
const DEDUP_ROW_BYTES: usize = 24;

impl Store {
    /// Reads every deduplication key, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn dedup(&self, mut each: impl FnMut(u128, u64)) -> Result<(), StoreError> {
        for row in self.dedup.iter() {
            let packed = row.value()?;
            for pair in packed.chunks_exact(DEDUP_ROW_BYTES) {
                let (key, offset) = pair.split_at(16);
                each(
                    u128::from_be_bytes(key.try_into().map_err(|_| StoreError::Row)?),
                    u64::from_be_bytes(offset.try_into().map_err(|_| StoreError::Row)?),
                );
            }
        }
        Ok(())
    }

    /// Drops deduplication rows whose keys are all of offsets below `offset`.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn forget_dedup(&self, offset: u64) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        let mut before = None;
        // A row reaches to where the next one begins: the last of these may hold more.
        for row in self.dedup.range(..=offset.to_be_bytes()) {
            if let Some(key) = before.replace(row.key()?) {
                batch.remove(&self.dedup, key);
            }
        }
        batch.commit()?;
        Ok(())
    }
}

/// One row.
pub(super) fn packed(rows: &DedupRows) -> Vec<u8> {
    let mut packed = Vec::with_capacity(rows.len() * DEDUP_ROW_BYTES);
    for (key, offset) in rows {
        packed.extend_from_slice(&key.to_be_bytes());
        packed.extend_from_slice(&offset.to_be_bytes());
    }
    packed
}
