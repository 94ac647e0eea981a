//! The number of the store's format, and the keyspaces that have to be there.

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{KEYSPACES, META, Store, StoreError};
use crate::profile::row::FORMAT;

impl Store {
    /// Raises the number: before the first row of this format is written, so that an earlier build
    /// refuses the store from then on, and once it is known that the store belongs to its journal.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn raise_format(&self) -> Result<(), StoreError> {
        if format_of(&self.meta)?.is_none_or(|found| found < u32::from(FORMAT)) {
            self.meta
                .insert("format", u32::from(FORMAT).to_be_bytes())?;
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    /// There was no store when it was opened.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }
}

/// Checks that this build reads the profiles in `database`; writes nothing.
///
/// # Errors
/// [`StoreError::Format`], [`StoreError::Database`]
pub fn check_format(database: &Database) -> Result<(), StoreError> {
    let is_there = |keyspace: &&str| database.keyspace_exists(keyspace);
    if !is_there(&META) {
        let lost = KEYSPACES.iter().any(is_there);
        return if lost {
            Err(StoreError::Lost { keyspace: META })
        } else {
            Ok(())
        };
    }
    let meta = database.keyspace(META, KeyspaceCreateOptions::default)?;
    match format_of(&meta)? {
        // The number was written after all keyspaces were made.
        Some(format) if (1..=u32::from(FORMAT)).contains(&format) => {
            match KEYSPACES.into_iter().find(|keyspace| !is_there(keyspace)) {
                Some(keyspace) => Err(StoreError::Lost { keyspace }),
                None => Ok(()),
            }
        }
        None if meta.is_empty()? => Ok(()),
        found => Err(StoreError::Format { found }),
    }
}

pub(super) fn format_of(meta: &Keyspace) -> Result<Option<u32>, StoreError> {
    let number = meta.get("format")?;
    let number = number.map(|number| number.as_ref().try_into().map_err(|_| StoreError::Row));
    Ok(number.transpose()?.map(u32::from_be_bytes))
}
