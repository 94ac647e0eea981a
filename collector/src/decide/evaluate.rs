//! Step 6: which segments the profile is in now. Fills the rules' record, asks them, and derives
//! enter and exit from the verdicts (level semantics). Changes no state.

use smallvec::SmallVec;
use tidegate_event::record::TransitionRef;
use tidegate_event::{AggregateHit, Change, Enriched, Json, Timestamp};
use tidegate_rules_wasm::{
    CampaignField, DeviceField, Field, GeoField, PageField, ProfileField, RecordBuffer,
    SessionField, Trap, Verdict, Wake,
};

use super::rules::{Rules, SlotSet, Worker};
use crate::profile::Profile;
use crate::profile::aggregate::{Reading, Value};
use crate::profile::membership::MembershipState;
use crate::session::Session;

/// What a decision reads beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The state, the event already folded in.
    pub profile: &'a Profile,
    /// The session that `session.*` names; None: those fields are absent.
    pub session: Option<&'a Session>,
    /// `decided_at`.
    pub now: Timestamp,
}

/// What was decided.
#[derive(Debug, Default)]
pub struct Decided<'r> {
    /// Membership changes, in catalog order.
    pub transitions: Vec<TransitionRef<'r>>,
    /// When time alone may change a verdict next.
    pub wake_up: Option<Timestamp>,
}

/// Starts a record: fills the event's fields and asks which aggregates it adds to.
///
/// # Errors
/// [`Trap`]: the rules of one module failed; nothing is added.
pub fn conditions<'w>(
    rules: &Rules,
    worker: &'w mut Worker,
    event: &Enriched<'_>,
    source: &str,
) -> Result<&'w [AggregateHit], Trap> {
    begin(worker);
    let record = worker.evaluator.record();
    for (slot, field) in &rules.event_slots {
        if fill_event(record, *slot, field, event, source) {
            worker.present.insert(*slot);
        }
    }
    worker.evaluator.conditions()
}

/// Starts a record that has no event: a wake-up, a merge, a session's end.
pub fn begin(worker: &mut Worker) {
    worker.present.clear();
    worker.evaluator.record().clear();
}

/// Evaluates every segment whose event fields are present, and schedules the next wake-up.
pub fn decide<'r>(rules: &'r Rules, worker: &mut Worker, moment: Moment<'_>) -> Decided<'r> {
    let Worker {
        evaluator,
        present,
        readings,
        ..
    } = worker;
    fill_state(rules, evaluator.record(), readings, moment);
    let mut decided = Decided::default();
    if let Ok(verdicts) = evaluator.segments() {
        decided.transitions = transitions(rules, verdicts, present, moment.profile);
    }
    decided.wake_up = wake_up(rules, readings, moment);
    decided
}

/// What the verdicts change, in catalog order. Segments and memberships are both ordered by key, so
/// that one pass over the two does instead of a search for each.
fn transitions<'r>(
    rules: &'r Rules,
    verdicts: &[Verdict],
    present: &SlotSet,
    profile: &Profile,
) -> Vec<TransitionRef<'r>> {
    let mut changed: SmallVec<[(usize, Change, u32); 8]> = SmallVec::new();
    let mut memberships = profile.memberships.iter().peekable();
    for (segment, position) in rules.by_id() {
        // A segment that left the catalog has no verdict: its members stay as they are.
        while memberships.next_if(|(own, _)| *own < segment).is_some() {}
        let was = memberships
            .next_if(|(own, _)| *own == segment)
            .map_or_else(MembershipState::default, |(_, was)| was);
        let change = match (verdicts[position], was.member) {
            (Verdict::True, false) => Change::Enter,
            (Verdict::False, true) => Change::Exit,
            (Verdict::True | Verdict::False | Verdict::Unknown, _) => continue,
        };
        if rules.is_evaluated(position, present) {
            changed.push((position, change, was.epoch));
        }
    }
    changed.sort_unstable_by_key(|(position, ..)| *position);
    changed
        .into_iter()
        .map(|(position, change, epoch)| {
            rules.transition(position, change, epoch.saturating_add(1))
        })
        .collect()
}

/// At the end of the newest session every segment that reads `session.*` becomes false.
#[must_use]
pub fn session_exits<'r>(rules: &'r Rules, profile: &Profile) -> Vec<TransitionRef<'r>> {
    let mut exits = Vec::new();
    for (position, segment) in rules
        .segments
        .iter()
        .enumerate()
        .filter(|(_, s)| s.reads_session)
    {
        let was = profile.memberships.get(segment.id);
        if was.member {
            exits.push(rules.transition(position, Change::Exit, was.epoch.saturating_add(1)));
        }
    }
    exits
}

fn fill_state(
    rules: &Rules,
    record: &mut RecordBuffer,
    readings: &mut [Option<Reading>],
    moment: Moment<'_>,
) {
    let mut slots = rules.aggregate_slots.iter();
    moment
        .profile
        .cells
        .read(rules.aggregates.iter(), moment.now, |reading| {
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
    let reads_traits = rules
        .state_slots
        .iter()
        .any(|(_, f)| matches!(f, Field::Trait(_)));
    let traits: Option<Json<'_>> = moment
        .profile
        .traits
        .as_deref()
        .filter(|_| reads_traits)
        .and_then(|traits| serde_json::from_str(&traits.text).ok());
    for (slot, field) in &rules.state_slots {
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
                    fill_json(record, *slot, value);
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

/// Fills one event field; false where the event does not carry it.
fn fill_event(
    record: &mut RecordBuffer,
    slot: usize,
    field: &Field,
    event: &Enriched<'_>,
    source: &str,
) -> bool {
    let text = match field {
        Field::EventName => Some(&*event.hit.name).filter(|name| !name.is_empty()),
        Field::EventType => Some(event.hit.kind.as_str()),
        Field::SourceName => Some(source),
        Field::Page(field) => page(event, *field),
        Field::Campaign(field) => campaign(event, *field),
        Field::Geo(GeoField::Country) => event.geo.country.as_deref(),
        Field::Geo(GeoField::City) => event.geo.city.as_deref(),
        Field::Geo(GeoField::Asn) => {
            return event.geo.asn.is_some_and(|asn| {
                record.set_int(slot, i64::from(asn));
                true
            });
        }
        Field::Device(DeviceField::Class) => Some(event.device.class.as_str()),
        Field::Device(DeviceField::Brand) => event.device.brand.as_deref(),
        Field::Device(DeviceField::Os) => event.device.os.as_deref(),
        Field::Device(DeviceField::Browser) => event.device.browser.as_deref(),
        Field::Device(DeviceField::BrowserVersion) => {
            return event.device.browser_version.is_some_and(|version| {
                record.set_int(slot, i64::from(version));
                true
            });
        }
        Field::Device(DeviceField::Bot) => {
            record.set_bool(slot, event.device.bot);
            return true;
        }
        Field::Property(path) => return fill_path(record, slot, path, &event.hit.properties.value),
        Field::EventTrait(path) => return fill_path(record, slot, path, &event.hit.traits.value),
        Field::Trait(_)
        | Field::Session(_)
        | Field::Profile(_)
        | Field::Now
        | Field::Aggregate(_) => None,
    };
    text.is_some_and(|text| record.set_str(slot, text))
}

fn page<'e>(event: &'e Enriched<'_>, field: PageField) -> Option<&'e str> {
    match field {
        PageField::Url => event.page.url.as_deref(),
        PageField::Path => event.page.path.as_deref(),
        PageField::Title => event.page.title.as_deref(),
        PageField::Search => event.page.search.as_deref(),
        PageField::Referrer => event.page.referrer.as_deref(),
        PageField::ReferrerHost => event.page.referrer_host.as_deref(),
    }
}

fn campaign<'e>(event: &'e Enriched<'_>, field: CampaignField) -> Option<&'e str> {
    match field {
        CampaignField::Source => event.campaign.source.as_deref(),
        CampaignField::Medium => event.campaign.medium.as_deref(),
        CampaignField::Name => event.campaign.name.as_deref(),
        CampaignField::Term => event.campaign.term.as_deref(),
        CampaignField::Content => event.campaign.content.as_deref(),
    }
}

fn fill_path(
    record: &mut RecordBuffer,
    slot: usize,
    path: &tidegate_rules_wasm::Path,
    object: &Json<'_>,
) -> bool {
    let found = path.keys().try_fold(object, |value, key| value.get(key));
    found.is_some_and(|value| fill_json(record, slot, value))
}

/// Fills a dynamic value; false where it counts as absent: arrays, objects, null, and a text that
/// is longer than the rules take.
fn fill_json(record: &mut RecordBuffer, slot: usize, value: &Json<'_>) -> bool {
    match value {
        Json::Bool(value) => record.set_bool(slot, *value),
        Json::Int(value) => record.set_int(slot, *value),
        Json::Float(value) => return record.set_float(slot, *value),
        Json::Str(text) => return record.set_str(slot, text),
        Json::Null | Json::Array(_) | Json::Object(_) => return false,
    }
    true
}

/// The earliest time after `now` at which a segment's verdict may change without an event.
fn wake_up(rules: &Rules, readings: &[Option<Reading>], moment: Moment<'_>) -> Option<Timestamp> {
    let wakes = rules.wakes.iter();
    wakes
        .filter_map(|wake| match wake {
            Wake::WindowEdge(aggregate) | Wake::Absent(aggregate) => readings[*aggregate]?.edge,
            Wake::Age { aggregate, ms } => match readings[*aggregate]?.value {
                Value::Time(at) => Some(at.plus_ms(*ms)),
                Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Never => None,
            },
            Wake::FieldAge { slot, ms } => {
                let (_, field) = rules.state_slots.iter().find(|(own, _)| own == slot)?;
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
