//! The source's default: what holds while no signal grants. Not a signal: the visitor did not say it.
//!
//! - Read: the source's `consent_default` in the catalog.
//! - Values: `granted`, `anonymous`, `denied` (the hit is refused).
//! - Unknown value: the catalog is refused.

use tidegate_event::Purposes;
use tidegate_event::consent::ConsentSignal;

use crate::catalog::{ConsentDefault, Source};

/// The record's word where it decided.
pub(super) const NAME: ConsentSignal = ConsentSignal("default");

pub(super) const fn of(source: &Source) -> Purposes {
    match source.consent_default {
        ConsentDefault::Granted => Purposes::GRANTED,
        ConsentDefault::Anonymous => Purposes::ANONYMOUS,
        ConsentDefault::Denied => Purposes::NONE,
    }
}
