//! The index of due times: which stored profiles to look at next.

use tidegate_event::{ProfileId, Timestamp};

use super::{Store, StoreError};

/// Bytes of a key: the time, then the profile.
pub(super) const DUE_KEY_BYTES: usize = 24;

/// Where to go on reading the due index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueFrom([u8; DUE_KEY_BYTES]);

impl Default for DueFrom {
    fn default() -> Self {
        Self([0; DUE_KEY_BYTES])
    }
}

impl DueFrom {
    /// The first place behind `key`, which may be of any length.
    fn behind(key: &[u8]) -> Self {
        let mut next = [0; DUE_KEY_BYTES];
        let bytes = key.len().min(DUE_KEY_BYTES);
        next[..bytes].copy_from_slice(&key[..bytes]);
        // A shorter key stands before itself with zeros added.
        if key.len() >= DUE_KEY_BYTES {
            for byte in next.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
        Self(next)
    }

    /// Rows of before this time are read.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        due_entry(&self.0).map_or(Timestamp(0), |(at, _)| at)
    }
}

/// A stretch of the due index.
#[derive(Debug)]
pub struct DuePage {
    /// Due time and profile.
    pub rows: Vec<(Timestamp, ProfileId)>,
    /// Keys that are none.
    pub unreadable: Vec<Box<[u8]>>,
    /// Where to go on.
    pub next: DueFrom,
}

impl Store {
    /// Up to `max` rows of the due index after `from` whose time is at or before `until`, earliest
    /// first. A time is never later than when something is due, and often earlier.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn due_page(
        &self,
        from: DueFrom,
        until: Timestamp,
        max: usize,
    ) -> Result<DuePage, StoreError> {
        let end = due_key(until.plus_ms(1), ProfileId(0));
        let mut page = DuePage {
            rows: Vec::new(),
            unreadable: Vec::new(),
            next: DueFrom(end),
        };
        if from.0 >= end {
            page.next = from;
            return Ok(page);
        }
        for row in self.due.range(from.0..end).take(max) {
            let key = row.key()?;
            match due_entry(&key) {
                Some(entry) => page.rows.push(entry),
                None => page.unreadable.push(key.to_vec().into()),
            }
            if page.rows.len() + page.unreadable.len() == max {
                page.next = DueFrom::behind(&key);
            }
        }
        Ok(page)
    }
}

fn due_entry(key: &[u8]) -> Option<(Timestamp, ProfileId)> {
    let (at, id) = key.split_first_chunk::<8>()?;
    let at = i64::try_from(u64::from_be_bytes(*at)).unwrap_or(i64::MAX);
    let id = u128::from_be_bytes(id.try_into().ok()?);
    Some((Timestamp(at), ProfileId(id)))
}

pub(super) fn due_key(at: Timestamp, id: ProfileId) -> [u8; DUE_KEY_BYTES] {
    let mut key = [0; DUE_KEY_BYTES];
    key[..8].copy_from_slice(&at.0.max(0).unsigned_abs().to_be_bytes());
    key[8..].copy_from_slice(&id.0.to_be_bytes());
    key
}
