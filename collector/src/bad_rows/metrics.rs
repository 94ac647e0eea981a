//! What the bad rows say of themselves.

use std::fmt;

use super::BadRows;
use crate::telemetry::scrape::{Figures, Page, signed};

impl Figures for BadRows {
    fn write(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.gauge(
            "tidegate_bad_rows_bytes",
            "Bytes of bad rows kept",
            signed(self.bytes()),
        )
    }
}
