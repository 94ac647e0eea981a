//! Values of format 1, as Tidegate 0.1.0 wrote them. Frozen: only the conversions may change.
//!
//! Types that are still as they were are named, not copied. When one of them changes, the test
//! below fails: copy its old form here.

use serde::Deserialize;
use tidegate_event::Timestamp;
use tidegate_event::row_version::{self, RowError, from_fields};

use super::FORMAT;
use crate::dead_letter::{self, DeadReason, RenderedRequest};
use crate::intent;

#[derive(Deserialize)]
struct Row {
    intent: intent::Intent,
    queued_at: Timestamp,
    attempts: u32,
    last_status: Option<u16>,
}

#[derive(Deserialize)]
struct DeadRow {
    row: Row,
    reason: DeadReason,
    at: Timestamp,
    request: RenderedRequest,
}

#[derive(Deserialize)]
struct Attempted {
    epoch: u32,
    offset: u64,
    at: Timestamp,
}

/// Reads the earlier rows of `$current` as `$v1`.
macro_rules! read_earlier {
    ($current:ty, $v1:ty) => {
        impl row_version::Row for $current {
            const VERSION: u8 = FORMAT;

            fn read_earlier(_version: u8, fields: &[u8]) -> Result<Self, RowError> {
                from_fields::<$v1>(fields).map(Into::into)
            }
        }
    };
}

read_earlier!(intent::Row, Row);
read_earlier!(dead_letter::DeadRow, DeadRow);
read_earlier!(intent::Attempted, Attempted);

impl From<Row> for intent::Row {
    fn from(old: Row) -> Self {
        Self {
            intent: old.intent,
            queued_at: old.queued_at,
            attempts: old.attempts,
            last_status: old.last_status,
        }
    }
}

impl From<DeadRow> for dead_letter::DeadRow {
    fn from(old: DeadRow) -> Self {
        Self {
            row: old.row.into(),
            reason: old.reason,
            at: old.at,
            request: old.request,
        }
    }
}

impl From<Attempted> for intent::Attempted {
    fn from(old: Attempted) -> Self {
        Self {
            epoch: old.epoch,
            offset: old.offset,
            at: old.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::super::tests::{bytes, everything};
    use crate::dead_letter::DeadRow;
    use crate::intent::{Attempted, Row};

    /// Written by Tidegate 0.1.0. A dead letter begins with its row.
    const ROW: &str = "03010104616e6f6e0103616461066275796572730102ccf7a1b8c06801066d6572676564010480c0e285e36800019003";
    const REST_OF_LETTER: &str = "0380c0e285e36804504f5354012f027b7d";
    const ATTEMPTED: &str = "020380c0e285e368";

    #[test]
    fn values_of_format_1_are_read_whole() {
        let (letter, attempted) = everything();
        assert_eq!(read::<Row>(&bytes(ROW)).unwrap(), letter.row);
        let whole = bytes(&[ROW, REST_OF_LETTER].concat());
        assert_eq!(read::<DeadRow>(&whole).unwrap(), letter);
        assert_eq!(read::<Attempted>(&bytes(ATTEMPTED)).unwrap(), attempted);
    }
}
