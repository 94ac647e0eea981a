//! The bytes of the outbox's values. Each says which version it has. Values of every earlier
//! version are read; values of the current one are written.
//!
//! To change what a value holds: where [`FORMAT`] was released, copy the changed types as they
//! were into `vN.rs`, N being that format, convert them there, read them in [`read`], and raise
//! [`FORMAT`]. Where it was not released, change the types and the conversion of `v1.rs` only.

mod intent;
mod v1;

use serde::Serialize;
use tidegate_event::row_version::{self, Row};

use crate::error::StoreError;

/// The newest form of keys and values in the outbox, and the version that values are written in.
pub const FORMAT: u8 = 2;

pub(super) fn write<R: Row + Serialize>(value: &R) -> Vec<u8> {
    row_version::write::<R>(value).expect("owned strings and numbers always encode")
}

pub(super) fn read<R: Row>(row: &[u8]) -> Result<R, StoreError> {
    Ok(row_version::read(row)?)
}

#[cfg(test)]
pub(super) mod tests {
    use tidegate_event::Timestamp;

    use super::*;
    use crate::dead_letter::{DeadReason, DeadRow, RenderedRequest};
    use crate::intent::tests::change as made;
    use crate::intent::{self, Attempted, Intent};

    /// One value of each kind, with everything that it may hold.
    pub(super) fn everything() -> (DeadRow, Attempted) {
        let at = Timestamp(1_800_000_000_000);
        let mut change = made(1, 2, 3);
        change.head.user_id = Some("ada".to_owned());
        change.reason = Some("merged".to_owned());
        change.merged_into = Some(tidegate_event::ProfileId(4));
        let intent = Intent::AudienceChange(change);
        let letter = DeadRow {
            row: intent::Row {
                last_status: Some(400),
                ..intent::Row::new(&intent, at)
            },
            reason: DeadReason::OutboxFull,
            at,
            request: RenderedRequest {
                method: "POST".to_owned(),
                url: "/".to_owned(),
                body: "{}".to_owned(),
            },
        };
        let attempted = Attempted {
            epoch: 2,
            offset: 3,
            at,
        };
        (letter, attempted)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.map(byte).collect()
    }

    /// Where this fails on purpose, see the module, and write the new bytes here.
    #[test]
    fn a_value_changes_only_with_the_format() {
        let (letter, attempted) = everything();
        let (letter_bytes, attempted_bytes) = (write(&letter), write(&attempted));
        assert_eq!(
            (FORMAT, &*hex(&letter_bytes), &*hex(&attempted_bytes)),
            (
                2,
                "80000203010104616e6f6e0103616461066275796572730102ccf7a1b8c06801066d6572676564010480c0e285e368000190030380c0e285e36804504f5354012f027b7d",
                "800002020380c0e285e368"
            )
        );
        assert_eq!(read::<DeadRow>(&letter_bytes).unwrap(), letter);
        assert_eq!(read::<Attempted>(&attempted_bytes).unwrap(), attempted);
        let row = write(&letter.row);
        assert_eq!(read::<intent::Row>(&row).unwrap(), letter.row);
    }

    #[test]
    fn a_value_of_a_newer_version_is_named() {
        let error = read::<intent::Row>(&[0x80, 0x00, FORMAT + 1]).unwrap_err();
        assert!(error.to_string().contains("row of format 3"), "{error}");
    }
}
