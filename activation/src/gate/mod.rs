//! Gates between a journal record and the outbox, in the order in which they ask. Pure: record in,
//! intents out. Suppression, holdout, quiet hours and caps get their place here.

mod consent;

use tidegate_event::record::Record;

use crate::intent::{AudienceChange, Head, Intent};

/// Why a record's changes are not dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The visitor's consent does not allow callbacks.
    Consent,
}

/// The changes of `record` that may be dispatched.
///
/// # Errors
/// The [`Refusal`] of the first gate that says no; a record without changes passes with none.
pub fn intents(offset: u64, record: &Record<'_>) -> Result<Vec<Intent>, Refusal> {
    if record.transitions.is_empty() {
        return Ok(Vec::new());
    }
    consent::check(record)?;
    Ok(changes(offset, record))
}

fn changes(offset: u64, record: &Record<'_>) -> Vec<Intent> {
    let owned = |text: &str| text.to_owned();
    record
        .transitions
        .iter()
        .filter_map(|change| {
            let profile = change.profile.or(record.profile)?;
            // The record's identifiers are the winner's where a merge made the loser leave.
            let own = Some(profile) == record.profile;
            Some(Intent::AudienceChange(AudienceChange {
                head: Head {
                    offset,
                    profile,
                    anonymous_id: record.anonymous_id.filter(|_| own).map(owned),
                    user_id: record.user_id.filter(|_| own).map(owned),
                    occurred_at: record.decided_at,
                },
                segment: owned(change.segment),
                change: change.change,
                epoch: change.epoch,
                reason: change.reason.map(owned),
                merged_into: record.profile.filter(|_| !own),
            }))
        })
        .collect()
}

#[cfg(test)]
mod tests;
