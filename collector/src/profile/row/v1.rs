//! Rows of format 1, as Tidegate 0.1.0 wrote them; rows of format 2 have the same fields. Frozen: only
//! the conversion may change.
//!
//! Types that are still as they were are named, not copied. When one of them changes, the test
//! below fails: copy its old form here.

use serde::Deserialize;
use tidegate_event::row_version::{RowError, from_fields};
use tidegate_event::{ProfileId, Purposes, Timestamp, VisitorId};

use super::Stored;
use crate::list::List;
use crate::profile::{self, Cells, Identifiers, Memberships, OptionalTime, Traits};
use crate::session::Session;

#[derive(Deserialize)]
struct Profile {
    id: ProfileId,
    created_at: Timestamp,
    applied_offset: u64,
    alias_of: Option<Box<ProfileId>>,
    identifiers: Identifiers,
    visitors: List<(VisitorId, u32)>,
    sessions: List<Session>,
    cells: Cells,
    memberships: Memberships,
    wake_up: OptionalTime,
    traits: Option<Box<str>>,
    first_seen: Timestamp,
    last_seen: Timestamp,
    events: u32,
    page_views: u32,
    sessions_opened: u32,
    shares: Purposes,
    merges: (u32, u16),
}

impl From<Profile> for profile::Profile {
    fn from(old: Profile) -> Self {
        Self {
            id: old.id,
            created_at: old.created_at,
            applied_offset: old.applied_offset,
            alias_of: old.alias_of,
            identifiers: old.identifiers,
            visitors: old.visitors,
            sessions: old.sessions,
            cells: old.cells,
            memberships: old.memberships,
            wake_up: old.wake_up,
            traits: old.traits.map(|text| {
                // Any event may set them anew, as it could then.
                let set_at = Timestamp(i64::MIN);
                Box::new(Traits { text, set_at })
            }),
            // Its end is found by the next wake-up, for which such a row has a time.
            guest: None,
            first_seen: old.first_seen,
            last_seen: old.last_seen,
            events: old.events,
            page_views: old.page_views,
            sessions_opened: old.sessions_opened,
            purposes: old.shares,
            merges: old.merges,
        }
    }
}

/// # Errors
/// [`RowError::Malformed`]
pub(super) fn read(fields: &[u8]) -> Result<Stored, RowError> {
    let (due_indexed, profile) = from_fields::<(_, Profile)>(fields)?;
    Ok(Stored {
        profile: profile.into(),
        due_indexed,
    })
}

#[cfg(test)]
mod tests {
    use tidegate_event::{Purposes, Timestamp};

    use super::super::read;
    use super::super::tests::{AT, bytes, everything};

    /// Written by Tidegate 0.1.0.
    const ROW: &str = "0180c0e285e3680180c0e285e368000105010080c0e285e3680361646101030101020000000000000000000000000000000380c0e285e36880c0e285e368809dbe87e368ffffffffffffffffff0101c0ee6d0000000000000000010880a4a7da06010104030180c0e285e36801027b7dfeffffffffffffffff01ffffffffffffffffff01000001000000";

    #[test]
    fn rows_of_formats_1_and_2_are_read_whole() {
        let mut known = everything();
        known.guest = None;
        known.purposes = Purposes::NO_SHARE;
        known.traits.as_mut().unwrap().set_at = Timestamp(i64::MIN);
        for marks in ["", "800002"] {
            let read = read(&bytes(&format!("{marks}{ROW}"))).unwrap();
            assert_eq!((read.due_indexed, &read.profile), (Some(AT), &known));
        }
    }
}
