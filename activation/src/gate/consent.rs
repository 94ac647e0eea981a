//! Consent, asked again at dispatch: the record says what is allowed.

use tidegate_event::record::Record;

use super::Refusal;

pub(super) fn check(record: &Record<'_>) -> Result<(), Refusal> {
    if record.purposes.share() {
        Ok(())
    } else {
        Err(Refusal::Consent)
    }
}
