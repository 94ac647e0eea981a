//! The bytes of a profile row: the due time in the index, then the profile. Each row says which
//! version it has. Rows of every earlier version are read; rows of the current one are written.
//!
//! To change what a row holds: where [`FORMAT`] was released, copy the changed types as they were
//! into `vN.rs`, N being that format, convert them there, read them in [`read`], and raise
//! [`FORMAT`]. Where it was not released, change the types and the conversion of `v1.rs` only.

mod v1;

use serde::Deserialize;
use tidegate_event::Timestamp;
use tidegate_event::row_version::{self, Row, RowError};

use super::Profile;
use super::store::StoreError;

/// The newest form of keys and rows in the store, and the version that rows are written in.
pub const FORMAT: u8 = 4;

/// A profile as it was written.
#[derive(Debug, Deserialize)]
pub struct Stored {
    /// The due time in the index.
    pub due_indexed: Option<Timestamp>,
    /// The state.
    pub profile: Profile,
}

impl Row for Stored {
    const VERSION: u8 = FORMAT;

    fn read_earlier(version: u8, fields: &[u8]) -> Result<Self, RowError> {
        match version {
            // A bool stood in the place of the purposes, which they read.
            3 => row_version::from_fields(fields),
            1 | 2 => v1::read(fields),
            // A further format names the version before it here.
            _ => Err(RowError::Malformed),
        }
    }
}

/// The bytes of a row.
///
/// # Errors
/// [`StoreError::Row`] cannot happen for a state that the fold made.
pub fn write(profile: &Profile, due_indexed: Option<Timestamp>) -> Result<Vec<u8>, StoreError> {
    Ok(row_version::write::<Stored>(&(due_indexed, profile))?)
}

/// Reads a row of any version up to [`FORMAT`].
///
/// # Errors
/// [`StoreError::NewerRow`], [`StoreError::Row`]
pub fn read(row: &[u8]) -> Result<Stored, StoreError> {
    Ok(row_version::read(row)?)
}

#[cfg(test)]
pub(super) mod tests {
    use tidegate_event::record::{Namespace, SessionRef};
    use tidegate_event::{
        AggregateHit, AggregateId, AggregateKind, AggregateSpec, HitValue, ProfileId, Purposes,
        SegmentId, VisitorId,
    };

    use super::*;
    use crate::profile::{Guest, Traits};
    use crate::session;

    pub(super) const AT: Timestamp = Timestamp(1_800_000_000_000);

    /// One of each thing that a row may hold.
    pub(super) fn everything() -> Profile {
        let mut profile = Profile::new(ProfileId(1));
        let session = SessionRef {
            id: 2,
            visitor: VisitorId(3),
            index: 1,
            gap_ms: 1_800_000,
        };
        profile.created_at = AT;
        session::fold::start(&mut profile.sessions, session, AT);
        profile.sessions_opened = 1;
        profile.visitors.push((session.visitor, session.index));
        let spec = AggregateSpec {
            id: AggregateId(8),
            kind: AggregateKind::Count,
            window_ms: 60_000,
        };
        let value = HitValue::Matched;
        profile.cells.add(&AggregateHit { spec, value }, AT, AT);
        profile.memberships.set(SegmentId(4), 1, true);
        profile.identifiers.push(Namespace::UserId, AT, "ada");
        Traits::lay_over(&mut profile.traits, "{}", AT);
        profile.guest = Some(Box::new(Guest {
            last_at: AT,
            due: AT,
        }));
        profile.wake_up = Some(AT).into();
        profile.alias_of = Some(Box::new(ProfileId(5)));
        profile
    }

    pub(super) fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.map(byte).collect()
    }

    /// Where this fails on purpose, see the module, and write the new bytes here.
    #[test]
    fn a_row_changes_only_with_its_format() {
        let row = write(&everything(), Some(AT)).unwrap();
        assert_eq!(
            (FORMAT, &*hex(&row)),
            (
                4,
                "8000040180c0e285e3680180c0e285e368000105010080c0e285e3680361646101030101020000000000000000000000000000000380c0e285e36880c0e285e368809dbe87e368ffffffffffffffffff0101c0ee6d0000000000000000010880a4a7da06010104030180c0e285e36801027b7d80c0e285e3680180c0e285e36880c0e285e368feffffffffffffffff01ffffffffffffffffff01000001800000"
            )
        );
        let read = read(&row).unwrap();
        assert_eq!((read.due_indexed, read.profile), (Some(AT), everything()));
    }

    /// A row of format 3 differs in its version and in the bool that stood for the purposes.
    #[test]
    fn a_row_of_format_3_says_what_may_be_shared() {
        let row = hex(&write(&everything(), Some(AT)).unwrap());
        let rest = row.strip_prefix("800004").unwrap();
        let rest = rest.strip_suffix("800000").unwrap();
        for (shares, purposes) in [("00", Purposes::NO_SHARE), ("01", Purposes::GRANTED)] {
            let earlier = bytes(&format!("800003{rest}{shares}0000"));
            let read = read(&earlier).unwrap();
            let known = Profile {
                purposes,
                ..everything()
            };
            assert_eq!((read.due_indexed, read.profile), (Some(AT), known));
        }
    }

    #[test]
    fn a_row_of_a_newer_version_is_named() {
        let error = read(&[0x80, 0x00, FORMAT + 1]).unwrap_err();
        assert!(
            error.to_string().contains("row of format 5"),
            "says its version: {error}"
        );
    }
}
