//! Consent, asked again at dispatch: the record says whether callbacks are allowed.

use tidegate_event::record::Record;

use super::Refusal;

pub(super) fn check(record: &Record<'_>) -> Result<(), Refusal> {
    if record.dispatch {
        Ok(())
    } else {
        Err(Refusal::Consent)
    }
}
