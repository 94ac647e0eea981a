//! How a journal record changes a profile: the one definition of state, used when a hit is taken
//! and when the journal is replayed, so that both always agree.
//!
//! A record is folded in two stages. [`received`] takes in what happened; [`Received::decided`] takes in
//! what was decided on the state that this made: the next wake-up and the memberships. A caller that
//! decides, evaluates between the two and fills the record in; [`record()`] is both, for records
//! that are complete.

use tidegate_event::Timestamp;
use tidegate_event::record::{
    DeviceStart, EventFold, Fold, Namespace, Record, SessionContinued, SessionRef, TransitionRef,
};

use super::{Guest, Profile, Traits, merge};
use crate::session::{self, SessionEvent};

/// Visitors whose session index is kept; beyond it the one that came first goes.
const VISITORS_MAX: usize = 64;

/// Folds one whole record into the profile it names. `loser` is the other side of a merge as it was
/// before; what becomes of it is [`merge::retire`]'s.
pub fn record(profile: &mut Profile, loser: Option<&Profile>, record: &Record<'_>, offset: u64) {
    received(profile, loser, record).decided(record, offset);
}

/// A profile that a record's first stage is folded into.
#[derive(Debug)]
#[must_use = "the record's second stage is missing"]
pub struct Received<'p>(&'p mut Profile);

/// The first stage: sessions, identifiers, counters, aggregates, traits, the state of a profile
/// merged into this one. Reads nothing that was decided.
pub fn received<'p>(
    profile: &'p mut Profile,
    loser: Option<&Profile>,
    record: &Record<'_>,
) -> Received<'p> {
    begin(profile, record.decided_at);
    match &record.fold {
        Fold::Event(fold) => {
            profile.purposes = record.purposes;
            event(profile, fold, record.event_time, record.decided_at);
        }
        Fold::SessionStart(session) => session_start(profile, *session, record.event_time),
        Fold::DeviceStart(start) => {
            device_start(profile, start, record.event_time, record.decided_at);
        }
        Fold::SessionEnd(end) => session::fold::end(&mut profile.sessions, end),
        Fold::SessionContinued(continued) => {
            session_continued(profile, continued, record.event_time);
        }
        Fold::SessionMerged(merged) => session::fold::merged(&mut profile.sessions, merged),
        Fold::ProfileMerged(_) => {
            if let Some(loser) = loser {
                merge::absorb(profile, loser, record.decided_at);
            }
        }
        Fold::WakeUp(_) | Fold::Catalog(_) => {}
        Fold::Erased => *profile = Profile::new(profile.id),
    }
    Received(profile)
}

impl Received<'_> {
    /// The state that is decided on.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        self.0
    }

    /// The second stage: the next wake-up and the memberships.
    pub fn decided(self, record: &Record<'_>, offset: u64) {
        let profile = self.0;
        match &record.fold {
            Fold::Event(fold) => profile.wake_up = fold.wake_up.into(),
            Fold::SessionEnd(end) => profile.wake_up = end.wake_up.into(),
            Fold::ProfileMerged(merged) => profile.wake_up = merged.wake_up.into(),
            Fold::WakeUp(wake_up) => {
                profile.wake_up = wake_up.wake_up.into();
                guest_over(profile, record.decided_at);
            }
            Fold::SessionStart(_)
            | Fold::DeviceStart(_)
            | Fold::SessionContinued(_)
            | Fold::SessionMerged(_)
            | Fold::Catalog(_)
            | Fold::Erased => {}
        }
        transitions(profile, &record.transitions);
        profile.applied_offset = offset + 1;
    }
}

/// What every record does first: the profile is born with its first one.
fn begin(profile: &mut Profile, decided_at: Timestamp) {
    if profile.created_at == Profile::UNBORN {
        profile.created_at = decided_at;
    }
}

/// `session_start`
fn session_start(profile: &mut Profile, session: SessionRef, at: Timestamp) {
    session::fold::start(&mut profile.sessions, session, at);
    profile.sessions_opened = profile.sessions_opened.saturating_add(1);
    visited(profile, session);
}

/// `session_start` of a device's own profile, which begins with it.
fn device_start(
    profile: &mut Profile,
    start: &DeviceStart<'_>,
    at: Timestamp,
    decided_at: Timestamp,
) {
    let id = start.anonymous_id;
    profile
        .identifiers
        .push(Namespace::AnonymousId, decided_at, id);
    session_start(profile, start.session, at);
}

/// A wake-up at `now` ends the part in another profile's session that is over by then.
fn guest_over(profile: &mut Profile, now: Timestamp) {
    profile.guest.take_if(|guest| guest.due <= now);
}

/// `session_continued`
fn session_continued(profile: &mut Profile, continued: &SessionContinued, at: Timestamp) {
    let event = SessionEvent {
        at,
        received_at: continued.received_at,
        page_view: continued.page_view,
        conversion: continued.conversion,
        visible_ms: continued.visible_ms,
    };
    session::fold::event(&mut profile.sessions, continued.session, &event);
}

fn visited(profile: &mut Profile, session: SessionRef) {
    let mut visitors = profile.visitors.iter_mut();
    if let Some((_, index)) = visitors.find(|(visitor, _)| *visitor == session.visitor) {
        *index = session.index.max(*index);
        return;
    }
    if profile.visitors.len() >= VISITORS_MAX {
        profile.visitors.remove(0);
    }
    profile.visitors.push((session.visitor, session.index));
}

/// A received event: identifiers, counters, session, aggregates, traits. Not its transitions.
fn event(profile: &mut Profile, fold: &EventFold<'_>, at: Timestamp, now: Timestamp) {
    for (namespace, value) in &fold.edges {
        profile.identifiers.push(*namespace, now, value);
    }
    profile.first_seen = profile.first_seen.min(at);
    profile.last_seen = profile.last_seen.max(at);
    profile.events = profile.events.saturating_add(1);
    profile.page_views = profile.page_views.saturating_add(u32::from(fold.page_view));
    if let Some(session) = fold.session {
        let event = SessionEvent {
            at,
            received_at: fold.received_at,
            page_view: fold.page_view,
            conversion: fold.conversion,
            visible_ms: fold.visible_ms,
        };
        if session::position(&profile.sessions, session).is_none() {
            let guest = Guest::of(session, at, fold.received_at);
            let guest = guest.and(profile.guest.as_deref().copied());
            profile.guest = Some(Box::new(guest));
        }
        session::fold::event(&mut profile.sessions, session, &event);
        // Where it is another profile's session, this one knows the visitor all the same.
        visited(profile, session);
    }
    for hit in &fold.hits {
        profile.cells.add(hit, at, now);
    }
    if let Some(over) = fold.traits {
        Traits::lay_over(&mut profile.traits, over, at);
    }
}

/// The record's own membership changes. A merge's exits under the loser's id are facts for the
/// outside only: the loser's state stays as it was.
fn transitions(profile: &mut Profile, transitions: &[TransitionRef<'_>]) {
    for transition in transitions.iter().filter(|t| t.profile.is_none()) {
        profile
            .memberships
            .apply(transition.id, transition.change, transition.epoch);
    }
}
