//! When time alone may change what the expressions say.

use tidegate_event::Timestamp;
use tidegate_rules_wasm::{Field, ProfileField, SessionField, Wake};

use super::Reads;
use crate::decide::Moment;
use crate::profile::aggregate::{Reading, Value};

/// The earliest time after `now` at which a segment's verdict may change without an event.
pub(super) fn wake_up(
    reads: &Reads,
    readings: &[Option<Reading>],
    moment: Moment<'_>,
) -> Option<Timestamp> {
    let wakes = reads.wakes.iter();
    wakes
        .filter_map(|wake| match wake {
            Wake::WindowEdge(aggregate) | Wake::Absent(aggregate) => readings[*aggregate]?.edge,
            Wake::Age { aggregate, ms } => match readings[*aggregate]?.value {
                Value::Time(at) => Some(at.plus_ms(*ms)),
                Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Never => None,
            },
            Wake::FieldAge { slot, ms } => {
                let (_, field) = reads.state_slots.iter().find(|(own, _)| own == slot)?;
                field_time(field, moment).map(|at| at.plus_ms(*ms))
            }
            Wake::At(at) => Some(*at),
        })
        // A comparison may turn only after the very instant, so the instant itself has to pass.
        .map(|at| at.plus_ms(1))
        .filter(|at| *at > moment.now)
        .min()
}

fn field_time(field: &Field, moment: Moment<'_>) -> Option<Timestamp> {
    match field {
        Field::Session(SessionField::StartedAt) => moment.session.map(|s| s.started_at),
        Field::Profile(ProfileField::FirstSeen) => Some(moment.profile.first_seen),
        Field::Profile(ProfileField::LastSeen) => Some(moment.profile.last_seen),
        _ => None,
    }
}
