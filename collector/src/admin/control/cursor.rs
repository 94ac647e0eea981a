//! The journal's cursors.

use serde::{Deserialize, Serialize};

/// One cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorView {
    /// Its name.
    pub name: String,
    /// `required`, `best-effort` or `ephemeral`.
    pub class: String,
    /// Every offset below is done.
    pub position: u64,
    /// Durable offsets not yet done.
    pub lag: u64,
    /// How often it was moved past records it had not seen.
    pub gaps: u64,
    /// How many records these were.
    pub lost_records: u64,
}

impl From<tidegate_journal::CursorInfo> for CursorView {
    fn from(info: tidegate_journal::CursorInfo) -> Self {
        use tidegate_journal::CursorClass;
        let class = match info.class {
            CursorClass::Required => "required",
            CursorClass::BestEffort => "best-effort",
            CursorClass::Ephemeral => "ephemeral",
        };
        Self {
            name: info.name,
            class: class.to_owned(),
            position: info.position,
            lag: info.lag,
            gaps: info.gaps,
            lost_records: info.lost_records,
        }
    }
}
