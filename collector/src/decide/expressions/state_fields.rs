//! Reads the other fields of the record from the profile, its session and the moment.

use tidegate_event::Json;
use tidegate_rules_wasm::{Field, ProfileField, RecordBuffer, SessionField};

use super::{Reads, json};
use crate::decide::Moment;
use crate::profile::Profile;
use crate::profile::aggregate::{Reading, Value};
use crate::session::Session;

/// Fills in the aggregates and what else a profile and its session say at `moment`.
pub(super) fn fill(
    reads: &Reads,
    record: &mut RecordBuffer,
    readings: &mut [Option<Reading>],
    moment: Moment<'_>,
) {
    let mut slots = reads.aggregate_slots.iter();
    moment
        .profile
        .cells
        .read(reads.aggregates.iter(), moment.now, |reading| {
            let Some((slot, index)) = slots.next() else {
                return;
            };
            readings[*index] = Some(reading);
            let Some(slot) = *slot else { return };
            match reading.value {
                Value::Int(value) => record.set_int(slot, value),
                Value::Float(value) => {
                    record.set_float(slot, value);
                }
                Value::Time(at) => record.set_timestamp(slot, at),
                Value::Bool(value) => record.set_bool(slot, value),
                Value::Never => {}
            }
        });
    let reads_traits = reads
        .state_slots
        .iter()
        .any(|(_, f)| matches!(f, Field::Trait(_)));
    let traits: Option<Json<'_>> = moment
        .profile
        .traits
        .as_deref()
        .filter(|_| reads_traits)
        .and_then(|traits| serde_json::from_str(&traits.text).ok());
    for (slot, field) in &reads.state_slots {
        match field {
            Field::Now => record.set_timestamp(*slot, moment.now),
            Field::Session(field) => {
                if let Some(session) = moment.session {
                    fill_session(record, *slot, *field, session);
                }
            }
            Field::Profile(field) => fill_profile(record, *slot, *field, moment.profile),
            Field::Trait(path) => {
                let keys: Vec<&str> = path.keys().collect();
                if let Some(value) = traits.as_ref().and_then(|t| t.at(&keys)) {
                    json::fill(record, *slot, value);
                }
            }
            Field::EventName
            | Field::EventType
            | Field::Page(_)
            | Field::Property(_)
            | Field::EventTrait(_)
            | Field::Geo(_)
            | Field::Device(_)
            | Field::Campaign(_)
            | Field::SourceName
            | Field::Aggregate(_) => {}
        }
    }
}

fn fill_session(record: &mut RecordBuffer, slot: usize, field: SessionField, session: &Session) {
    match field {
        SessionField::Index => record.set_int(slot, i64::from(session.index)),
        SessionField::PageViews => record.set_int(slot, i64::from(session.page_views)),
        SessionField::Events => record.set_int(slot, i64::from(session.events)),
        SessionField::Conversions => record.set_int(slot, i64::from(session.conversions)),
        SessionField::Engaged => record.set_bool(slot, session.engaged()),
        SessionField::StartedAt => record.set_timestamp(slot, session.started_at),
        SessionField::DurationS => record.set_int(slot, session.duration_ms() / 1_000),
    }
}

fn fill_profile(record: &mut RecordBuffer, slot: usize, field: ProfileField, profile: &Profile) {
    match field {
        ProfileField::Identified => record.set_bool(slot, profile.user_id().is_some()),
        ProfileField::UserId => {
            if let Some(user_id) = profile.user_id() {
                record.set_str(slot, &user_id);
            }
        }
        ProfileField::FirstSeen => record.set_timestamp(slot, profile.first_seen),
        ProfileField::LastSeen => record.set_timestamp(slot, profile.last_seen),
        ProfileField::Sessions => record.set_int(slot, i64::from(profile.sessions_opened)),
        ProfileField::Events => record.set_int(slot, i64::from(profile.events)),
        ProfileField::PageViews => record.set_int(slot, i64::from(profile.page_views)),
    }
}
