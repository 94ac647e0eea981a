//! Writes records while the person is locked: takes the ticket, folds, decides, encodes, fills.
//!
//! Every method leaves state and journal agreeing: what it changed in the profile is exactly what
//! [`fold::record`] makes of the record it wrote.

use std::borrow::Cow;

use tidegate_event::consent::ConsentState;
use tidegate_event::identity::Identifiers;
use tidegate_event::record::{
    DeviceStart, EventFold, Fold, Namespace, ProfileMerged, Record, SessionContinued, SessionEnd,
    SessionMerged, SessionRef, TransitionRef, WakeUpFold,
};
use tidegate_event::{Change, Enriched, Identity, Timestamp, VisitorId};
use tidegate_journal::{Reservation, Ticket};

use super::Core;
use crate::decide::{Decided, Evaluation, Moment, Rules};
use crate::pipeline::record_json;
use crate::profile::live::{CLEAN, Live};
use crate::profile::{Profile, fold, merge};
use crate::session;

/// The writer of one hit's or one timer's records.
pub(super) struct Step<'a> {
    core: &'a Core,
    rules: &'a Rules,
    reservation: Reservation,
    source: &'a str,
    /// As the hit names them; None of a timer.
    sender: Option<&'a Identifiers<'a>>,
    /// The hit's user is the one that the profile of the next records is about.
    names_user: bool,
    now: Timestamp,
}

/// The event of a hit.
pub(super) struct EventStep<'a> {
    pub(super) hit: &'a Enriched<'a>,
    pub(super) message_id: &'a str,
    pub(super) fold: EventFold<'a>,
    /// The profile whose session it belongs to, where that is another one.
    pub(super) device: Option<&'a Live>,
    pub(super) late: bool,
}

impl<'a> Step<'a> {
    pub(super) fn new(
        core: &'a Core,
        rules: &'a Rules,
        reservation: Reservation,
        source: &'a str,
    ) -> Self {
        Self {
            core,
            rules,
            reservation,
            source,
            sender: None,
            names_user: true,
            now: core.0.clock.now(),
        }
    }

    /// For the records that the hit of `sender` brings about.
    pub(super) fn sent_by(self, sender: &'a Identity<'a>) -> Self {
        let sender = match sender {
            Identity::Known(ids) => Some(ids),
            Identity::Anonymous => None,
        };
        Self { sender, ..self }
    }

    /// Whether the next records are about the hit's user, and not about the owner of the device.
    pub(super) const fn names_user(&mut self, names: bool) {
        self.names_user = names;
    }

    /// An event without any identifier: no state, no segments.
    pub(super) fn anonymous(
        &mut self,
        hit: &Enriched<'_>,
        message_id: &str,
        fold: EventFold<'_>,
    ) -> u64 {
        let ticket = self.reservation.ticket(self.now);
        let mut record = self.head(&ticket, hit, message_id, Fold::Event(fold));
        record.anonymous_id = None;
        record.user_id = None;
        self.fill_event(ticket, &record, hit, false)
    }

    /// A received event of a locked person.
    pub(super) fn event(&mut self, live: &mut Live, step: EventStep<'_>) -> u64 {
        let EventStep {
            hit,
            message_id,
            mut fold,
            device,
            late,
        } = step;
        let ticket = self.reservation.ticket(self.now);
        let decided_at = ticket.decided_at();
        self.touch(live, &ticket);
        let started = self.core.0.clock.monotonic_us();
        let mut evaluation = self.evaluation();
        // A trap adds nothing; it is counted when the evaluation ends.
        if let Ok(hits) = evaluation.conditions(hit, self.source) {
            fold.hits.extend_from_slice(hits);
        }
        fold::begin(&mut live.profile, decided_at);
        live.profile.shares = hit.consent.state == ConsentState::Granted;
        fold::event(&mut live.profile, &fold, hit.event_time, decided_at);
        let sessions = &device.unwrap_or(&*live).profile.sessions;
        let session = fold
            .session
            .and_then(|session| session::fold::position(sessions, session))
            .and_then(|at| live.profile.session_beside(&sessions[at], decided_at));
        let moment = Moment {
            profile: &live.profile,
            session,
            now: decided_at,
        };
        let decided = evaluation.decide(moment);
        self.core
            .0
            .metrics
            .decided(self.core.0.clock.monotonic_us() - started, late);
        fold.wake_up = decided.wake_up;
        live.profile.wake_up = decided.wake_up.into();
        fold::transitions(&mut live.profile, &decided.transitions);
        let mut record = self.head(&ticket, hit, message_id, Fold::Event(fold));
        record.profile = Some(live.profile.id);
        record.transitions = decided.transitions;
        self.settle(live, &ticket);
        self.fill_event(ticket, &record, hit, late)
    }

    /// `session_start`
    pub(super) fn session_start(&mut self, live: &mut Live, session: SessionRef, at: Timestamp) {
        let ticket = self.reservation.ticket(self.now);
        self.touch(live, &ticket);
        fold::begin(&mut live.profile, ticket.decided_at());
        fold::session_start(&mut live.profile, session, at);
        self.core.0.metrics.sessions_started.inc();
        self.fill_system(
            live,
            ticket,
            "session_start",
            at,
            Vec::new(),
            Fold::SessionStart(session),
        );
    }

    /// `session_start` of a device that gets its profile with it.
    pub(super) fn device_start(&mut self, live: &mut Live, start: DeviceStart<'_>, at: Timestamp) {
        let ticket = self.reservation.ticket(self.now);
        self.touch(live, &ticket);
        let decided_at = ticket.decided_at();
        fold::begin(&mut live.profile, decided_at);
        fold::device_start(&mut live.profile, &start, at, decided_at);
        self.core.0.metrics.sessions_started.inc();
        let fold = Fold::DeviceStart(start);
        self.fill_system(live, ticket, "session_start", at, Vec::new(), fold);
    }

    /// `session_continued`
    pub(super) fn session_continued(
        &mut self,
        live: &mut Live,
        continued: SessionContinued,
        at: Timestamp,
    ) {
        let ticket = self.reservation.ticket(self.now);
        self.touch(live, &ticket);
        fold::session_continued(&mut live.profile, &continued, at);
        let fold = Fold::SessionContinued(continued);
        self.fill_system(live, ticket, "session_continued", at, Vec::new(), fold);
    }

    /// `session_merged`; says which session stays.
    pub(super) fn session_merged(
        &mut self,
        live: &mut Live,
        into: SessionRef,
        from: SessionRef,
        revision: u16,
        at: Timestamp,
    ) -> SessionRef {
        let ticket = self.reservation.ticket(self.now);
        self.touch(live, &ticket);
        let merged = SessionMerged {
            into,
            from_index: from.index,
            from_id: from.id,
            revision,
        };
        session::fold::merged(&mut live.profile.sessions, &merged);
        let fold = Fold::SessionMerged(merged);
        self.fill_system(live, ticket, "session_merged", at, Vec::new(), fold);
        into
    }

    /// `session_end` of the session at `position`, dated when its silence had lasted.
    pub(super) fn session_end(&mut self, live: &mut Live, position: usize) {
        let ticket = self.reservation.ticket(self.now);
        self.touch(live, &ticket);
        let session = &live.profile.sessions[position];
        let at = session.due;
        let end = SessionEnd {
            session: session.reference(),
            revision: session.revision.saturating_add(1),
            // An overdue wake-up has yet to be evaluated.
            wake_up: live.profile.wake_up.get(),
        };
        let transitions = match live.profile.is_newest(session) {
            true => self.rules.segments.session_exits(&live.profile),
            false => Vec::new(),
        };
        session::fold::end(&mut live.profile.sessions, &end);
        fold::transitions(&mut live.profile, &transitions);
        self.core.0.ended.lock().push(live.profile.id);
        self.core.0.metrics.sessions_ended.inc();
        self.fill_system(
            live,
            ticket,
            "session_end",
            at,
            transitions,
            Fold::SessionEnd(end),
        );
    }

    /// `wake_up`: segments that read no event field are evaluated on time alone.
    pub(super) fn wake_up(&mut self, live: &mut Live, due: Timestamp) {
        let ticket = self.reservation.ticket(self.now);
        self.touch(live, &ticket);
        let decided_at = ticket.decided_at();
        let Decided {
            mut transitions,
            wake_up,
        } = self.decide(live, decided_at);
        for transition in &mut transitions {
            let segment = self.rules.segments.get(transition.id);
            transition.overdue =
                segment.is_some_and(|s| decided_at.since(due) > s.wake_up_max_delay_ms);
        }
        if live.profile.is_between_sessions(decided_at) {
            let mut exits = self.rules.segments.session_exits(&live.profile);
            exits.retain(|exit| transitions.iter().all(|other| other.id != exit.id));
            transitions.extend(exits);
        }
        live.profile.wake_up = wake_up.into();
        fold::guest_over(&mut live.profile, decided_at);
        fold::transitions(&mut live.profile, &transitions);
        self.core.0.metrics.wake_ups.inc();
        let fold = Fold::WakeUp(WakeUpFold { due, wake_up });
        self.fill_system(live, ticket, "wake_up", due, transitions, fold);
    }

    /// `profile_merged`: the loser's state goes into the winner, which is evaluated once.
    pub(super) fn merge(&mut self, winner: &mut Live, loser: &mut Live, at: Timestamp) {
        let ticket = self.reservation.ticket(self.now);
        self.touch(winner, &ticket);
        self.touch(loser, &ticket);
        let decided_at = ticket.decided_at();
        fold::begin(&mut winner.profile, decided_at);
        merge::absorb(&mut winner.profile, &loser.profile, decided_at);
        merge::retire(&mut loser.profile, winner.profile.id, ticket.offset());
        for identifier in loser.profile.identifiers.iter() {
            let key = self
                .core
                .0
                .profiles
                .key(identifier.namespace, &identifier.value);
            self.core.0.profiles.point(key, winner.profile.id);
        }
        let (inherited, exits) = self.memberships(winner, loser);
        let merged_state = winner.profile.memberships.clone();
        fold::transitions(&mut winner.profile, &inherited);
        let decided = self.decide(winner, decided_at);
        let transitions = net(&inherited, &decided.transitions, exits);
        winner.profile.memberships = merged_state;
        fold::transitions(&mut winner.profile, &transitions);
        winner.profile.wake_up = decided.wake_up.into();
        let merged = ProfileMerged {
            winner: winner.profile.id,
            loser: loser.profile.id,
            wake_up: decided.wake_up,
        };
        self.core.0.metrics.merges.inc();
        self.core.schedule(winner);
        let fold = Fold::ProfileMerged(merged);
        self.fill_system(winner, ticket, "profile_merged", at, transitions, fold);
    }

    /// What the winner is in because the loser was, and the loser's exits.
    fn memberships(
        &self,
        winner: &Live,
        loser: &Live,
    ) -> (Vec<TransitionRef<'a>>, Vec<TransitionRef<'a>>) {
        let (mut inherited, mut exits) = (Vec::new(), Vec::new());
        let rules = self.rules;
        let mut take = |segment, transition: &dyn Fn(Change, u32) -> TransitionRef<'a>| {
            let theirs = loser.profile.memberships.get(segment);
            if !theirs.member {
                return;
            }
            let mut exit = transition(Change::Exit, theirs.epoch.saturating_add(1));
            exit.reason = Some("merged");
            exit.profile = Some(loser.profile.id);
            exits.push(exit);
            let own = winner.profile.memberships.get(segment);
            if !own.member {
                let epoch = own.epoch.max(theirs.epoch).saturating_add(1);
                inherited.push(transition(Change::Enter, epoch));
            }
        };
        for segment in rules.segments.iter() {
            take(segment.id, &|change, epoch| {
                segment.transition(change, epoch)
            });
        }
        // Disabled segments keep their members, but a profile that is merged away keeps nothing.
        for segment in rules.segments.disabled() {
            take(segment.id, &|change, epoch| {
                segment.transition(change, epoch)
            });
        }
        (inherited, exits)
    }

    fn evaluation(&self) -> Evaluation<'a> {
        self.rules.evaluation(&self.core.0.metrics.rule_traps)
    }

    /// By time alone.
    fn decide(&self, live: &Live, now: Timestamp) -> Decided<'a> {
        self.evaluation().decide(Moment::of(&live.profile, now))
    }

    /// Before anything changes: the checkpoint must know of the profile before the record can
    /// become durable.
    fn touch(&self, live: &mut Live, ticket: &Ticket) {
        if live.first_dirty == CLEAN {
            live.first_dirty = ticket.offset();
            self.core
                .0
                .dirty
                .lock()
                .insert((ticket.offset(), live.profile.id));
        }
    }

    fn settle(&self, live: &mut Live, ticket: &Ticket) {
        live.profile.applied_offset = ticket.offset() + 1;
        self.core.schedule(live);
    }

    fn head<'r>(
        &self,
        ticket: &Ticket,
        hit: &'r Enriched<'_>,
        message_id: &'r str,
        fold: Fold<'r>,
    ) -> Record<'r>
    where
        'a: 'r,
    {
        let ids = match &hit.identity {
            Identity::Known(ids) => (ids.anonymous_id.as_deref(), ids.user_id.as_deref()),
            Identity::Anonymous => (None, None),
        };
        Record {
            generation: self.rules.generation,
            decided_at: ticket.decided_at(),
            profile: None,
            anonymous_id: ids.0,
            user_id: ids.1,
            source: self.source,
            kind: hit.hit.kind.as_str(),
            event: &hit.hit.name,
            message_id,
            event_time: hit.event_time,
            dispatch: hit.consent.state == ConsentState::Granted,
            transitions: Vec::new(),
            fold,
        }
    }

    fn fill_event(
        &self,
        ticket: Ticket,
        record: &Record<'_>,
        hit: &Enriched<'_>,
        late: bool,
    ) -> u64 {
        let offset = ticket.offset();
        let sent =
            hit.hit.context.raw.len() + hit.hit.properties.raw.len() + hit.hit.traits.raw.len();
        let payload = record
            .write(Vec::with_capacity(1_024 + sent), |out| {
                record_json::write_event(out, record, hit, late);
            })
            .expect("a head is smaller than 4 GiB: its parts were bounded when it was reserved");
        if let Fold::Event(EventFold {
            dedup: Some(key), ..
        }) = record.fold
        {
            self.core.0.dedup.remember(key, offset, true);
        }
        ticket.fill(payload);
        offset
    }

    fn fill_system(
        &self,
        live: &mut Live,
        ticket: Ticket,
        event: &'static str,
        at: Timestamp,
        transitions: Vec<TransitionRef<'_>>,
        fold: Fold<'_>,
    ) {
        self.settle(live, &ticket);
        let message_id = uuid::Uuid::from_u128(self.core.mint()).to_string();
        let visitor = match &fold {
            Fold::SessionStart(session) => Some(session.visitor),
            Fold::DeviceStart(start) => Some(start.session.visitor),
            Fold::SessionMerged(merged) => Some(merged.into.visitor),
            Fold::SessionContinued(continued) => Some(continued.session.visitor),
            Fold::SessionEnd(end) => Some(end.session.visitor),
            _ => None,
        };
        let anonymous_id = self.anonymous_id(&live.profile, visitor);
        let sender = self.sender.filter(|_| self.names_user);
        let named = sender.and_then(|ids| ids.user_id.as_deref());
        let user_id = live.profile.user_id().or(named.map(Cow::Borrowed));
        let record = Record {
            generation: self.rules.generation,
            decided_at: ticket.decided_at(),
            profile: Some(live.profile.id),
            anonymous_id: anonymous_id.as_deref(),
            user_id: user_id.as_deref(),
            source: self.source,
            kind: "system",
            event,
            message_id: &message_id,
            event_time: at,
            dispatch: live.profile.shares,
            transitions,
            fold,
        };
        let payload = record
            .write(Vec::with_capacity(512), |out| {
                record_json::write_system(out, &record);
            })
            .expect("a head is smaller than 4 GiB: its parts were bounded when it was reserved");
        ticket.fill(payload);
    }

    /// What the client calls `visitor`, or where it is about none, the profile's newest device. The
    /// hit that opens a session is not folded yet, so its own word is looked at as well.
    fn anonymous_id<'n>(
        &'n self,
        profile: &'n Profile,
        visitor: Option<VisitorId>,
    ) -> Option<Cow<'n, str>> {
        let named = self.sender.and_then(|ids| ids.anonymous_id.as_deref());
        let newest = || profile.anonymous_id().or(named.map(Cow::Borrowed));
        let Some(visitor) = visitor else {
            return newest();
        };
        if let Some(named) = named.filter(|named| VisitorId::of(named) == visitor) {
            return Some(Cow::Borrowed(named));
        }
        let devices = profile.identifiers.iter();
        let mut devices = devices.filter(|own| own.namespace == Namespace::AnonymousId);
        let own = devices.find(|own| VisitorId::of(&own.value) == visitor);
        own.map(|own| own.value).or_else(newest)
    }
}

/// At most one transition a segment: what was inherited and at once decided away did not happen.
/// The loser's exits come last.
fn net<'r>(
    inherited: &[TransitionRef<'r>],
    decided: &[TransitionRef<'r>],
    exits: Vec<TransitionRef<'r>>,
) -> Vec<TransitionRef<'r>> {
    let same = |a: &TransitionRef<'_>, b: &TransitionRef<'_>| a.id == b.id;
    let stays = |one: &&TransitionRef<'r>, others: &[TransitionRef<'r>]| {
        !others.iter().any(|other| same(one, other))
    };
    let mut transitions: Vec<_> = inherited
        .iter()
        .filter(|t| stays(t, decided))
        .copied()
        .collect();
    transitions.extend(decided.iter().filter(|t| stays(t, inherited)).copied());
    transitions.extend(exits);
    transitions
}
