//! Keys of the outbox's keyspaces. Numbers are big endian, so that bytes sort as they do.
//!
//! - jobs: destination, profile, segment, offset
//! - due: destination, milliseconds, profile, segment, offset that created the entry
//! - attempted: destination, profile, segment
//! - dead: destination, number

use tidegate_event::id::fnv1a_64;
use tidegate_event::{ProfileId, SegmentId, Timestamp};

use crate::intent::Key;
use crate::queue::Due;

/// A destination's short key: the 64-bit FNV-1a of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DestinationId(u64);

impl DestinationId {
    pub(crate) fn of(name: &str) -> Self {
        Self(fnv1a_64(name.as_bytes()))
    }

    pub(super) const fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

pub(super) fn key(id: DestinationId, key: &Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(36);
    out.extend_from_slice(&id.bytes());
    out.extend_from_slice(&key.profile.0.to_be_bytes());
    out.extend_from_slice(&key.segment.0.to_be_bytes());
    out
}

pub(super) fn job(id: DestinationId, row_key: &Key, offset: u64) -> Vec<u8> {
    let mut out = key(id, row_key);
    out.extend_from_slice(&offset.to_be_bytes());
    out
}

/// The key of a row, of its key in the store.
pub(super) fn job_key(bytes: &[u8]) -> Option<Key> {
    read_key(bytes.get(8..)?).map(|(key, _)| key)
}

fn read_key(bytes: &[u8]) -> Option<(Key, &[u8])> {
    let (profile, rest) = bytes.split_first_chunk::<16>()?;
    let (segment, rest) = rest.split_first_chunk::<4>()?;
    let key = Key {
        profile: ProfileId(u128::from_be_bytes(*profile)),
        segment: SegmentId(u32::from_be_bytes(*segment)),
    };
    Some((key, rest))
}

pub(super) fn due(id: DestinationId, key: &Key, (at, created_by): Due) -> Vec<u8> {
    let mut out = due_prefix(id, at);
    out.extend_from_slice(&key.profile.0.to_be_bytes());
    out.extend_from_slice(&key.segment.0.to_be_bytes());
    out.extend_from_slice(&created_by.to_be_bytes());
    out
}

pub(super) fn due_prefix(id: DestinationId, at: Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(44);
    out.extend_from_slice(&id.bytes());
    out.extend_from_slice(&u64::try_from(at.0).unwrap_or(0).to_be_bytes());
    out
}

pub(super) fn read_due(bytes: &[u8]) -> Option<(Key, Due)> {
    let (_, rest) = bytes.split_first_chunk::<8>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (key, rest) = read_key(rest)?;
    let at = i64::try_from(u64::from_be_bytes(*at)).ok()?;
    Some((key, (Timestamp(at), number(rest)?)))
}

pub(super) fn dead(id: DestinationId, number: u64) -> Vec<u8> {
    [id.bytes(), number.to_be_bytes()].concat()
}

pub(super) fn dead_number(bytes: &[u8]) -> Option<u64> {
    number(bytes.get(8..)?)
}

/// Before the destination, in the key of its mark.
pub(super) const DISABLED: &[u8] = b"disabled";

pub(super) fn disabled(id: DestinationId) -> Vec<u8> {
    [DISABLED, &id.bytes()].concat()
}

pub(super) fn disabled_id(bytes: &[u8]) -> Option<DestinationId> {
    number(bytes.strip_prefix(DISABLED)?).map(DestinationId)
}

/// Where a row that does not parse is kept.
pub(super) fn unreadable(raw_key: &[u8]) -> Vec<u8> {
    [b"unreadable".as_slice(), raw_key].concat()
}

pub(super) fn destination_of(bytes: &[u8]) -> Option<DestinationId> {
    bytes
        .first_chunk()
        .map(|id| DestinationId(u64::from_be_bytes(*id)))
}

pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds as _;

    use super::*;
    use crate::outbox::storage::from;

    #[test]
    fn due_keys_sort_by_time_and_read_back() {
        let id = DestinationId::of("ads");
        let at = |ms, profile| {
            let key = Key {
                profile: ProfileId(profile),
                segment: SegmentId(3),
            };
            due(id, &key, (Timestamp(ms), 9))
        };
        assert!(at(255, 9) < at(256, 1) && at(256, 1) < at(256, 2));
        let range = from(due_prefix(id, Timestamp(256)), &id.bytes());
        assert!(!range.contains(&at(255, 9)) && range.contains(&at(i64::MAX, u128::MAX)));
        let other = DestinationId::of("mail");
        assert!(!from(due_prefix(other, Timestamp(0)), &other.bytes()).contains(&at(1, 1)));
        let (key, due) = read_due(&at(256, 7)).unwrap();
        assert_eq!((key.profile, key.segment), (ProfileId(7), SegmentId(3)));
        assert_eq!(due, (Timestamp(256), 9));
        assert_eq!(read_due(&[0; 43]), None);
        assert_eq!(job_key(&job(id, &key, 9)), Some(key));
    }
}
