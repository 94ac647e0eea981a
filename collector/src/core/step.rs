//! Writes records while the person is locked: takes the ticket, folds, decides, encodes, fills.
//!
//! Every method leaves state and journal agreeing: it makes the record first, and changes the profile
//! only by folding that record.

use std::borrow::Cow;

use tidegate_event::identity::Identifiers;
use tidegate_event::record::{
    DeviceStart, EventFold, Fold, Namespace, ProfileMerged, Record, SessionContinued, SessionEnd,
    SessionMerged, SessionRef, TransitionRef, WakeUpFold,
};
use tidegate_event::{Change, Enriched, Identity, Timestamp, VisitorId};
use tidegate_journal::{Reservation, Ticket};

use super::state::State;
use crate::decide::{Decided, Evaluation, Moment, Rules};
use crate::pipeline::record_json;
use crate::profile::live::Live;
use crate::profile::{Profile, fold, merge};
use crate::session;

/// The writer of one hit's or one timer's records.
pub(super) struct Step<'a> {
    state: &'a State,
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
        state: &'a State,
        rules: &'a Rules,
        reservation: Reservation,
        source: &'a str,
    ) -> Self {
        Self {
            state,
            rules,
            reservation,
            source,
            sender: None,
            names_user: true,
            now: state.writer.now(),
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
        let ticket = self.ticket(live);
        let decided_at = ticket.decided_at();
        let started = self.state.writer.clock().monotonic_us();
        let mut evaluation = self.evaluation();
        // A trap adds nothing; it is counted when the evaluation ends.
        if let Ok(hits) = evaluation.conditions(hit, self.source) {
            fold.hits.extend_from_slice(hits);
        }
        let session = fold.session;
        let mut record = self.head(&ticket, hit, message_id, Fold::Event(fold));
        record.profile = Some(live.profile.id);
        let received = fold::received(&mut live.profile, None, &record);
        let profile = received.profile();
        let sessions = device.map_or(&profile.sessions, |device| &device.profile.sessions);
        let session = session
            .and_then(|session| session::position(sessions, session))
            .and_then(|at| profile.session_beside(&sessions[at], decided_at));
        let decided = evaluation.decide(Moment {
            session,
            ..Moment::of(profile, decided_at)
        });
        self.state
            .metrics
            .decided(self.state.writer.clock().monotonic_us() - started, late);
        record.decide(decided.transitions, decided.wake_up);
        received.decided(&record, ticket.offset());
        self.state.schedule.add(live);
        self.fill_event(ticket, &record, hit, late)
    }

    /// `session_start`
    pub(super) fn session_start(&mut self, live: &mut Live, session: SessionRef, at: Timestamp) {
        let ticket = self.ticket(live);
        let fold = Fold::SessionStart(session);
        let record = self.system(live, &ticket, "session_start", at, fold);
        self.state.metrics.sessions_started.inc();
        self.write(live, ticket, record);
    }

    /// `session_start` of a device that gets its profile with it.
    pub(super) fn device_start(&mut self, live: &mut Live, start: DeviceStart<'_>, at: Timestamp) {
        let ticket = self.ticket(live);
        let fold = Fold::DeviceStart(start);
        let record = self.system(live, &ticket, "session_start", at, fold);
        self.state.metrics.sessions_started.inc();
        self.write(live, ticket, record);
    }

    /// `session_continued`
    pub(super) fn session_continued(
        &mut self,
        live: &mut Live,
        continued: SessionContinued,
        at: Timestamp,
    ) {
        let ticket = self.ticket(live);
        let fold = Fold::SessionContinued(continued);
        let record = self.system(live, &ticket, "session_continued", at, fold);
        self.write(live, ticket, record);
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
        let ticket = self.ticket(live);
        let fold = Fold::SessionMerged(SessionMerged {
            into,
            from_index: from.index,
            from_id: from.id,
            revision,
        });
        let record = self.system(live, &ticket, "session_merged", at, fold);
        self.write(live, ticket, record);
        into
    }

    /// `session_end` of the session at `position`, dated when its silence had lasted.
    pub(super) fn session_end(&mut self, live: &mut Live, position: usize) {
        let ticket = self.ticket(live);
        let session = &live.profile.sessions[position];
        let at = session.due;
        let end = SessionEnd {
            session: session.reference(),
            revision: session.revision.saturating_add(1),
            // An overdue wake-up has yet to be evaluated.
            wake_up: live.profile.wake_up.get(),
        };
        let mut record = self.system(live, &ticket, "session_end", at, Fold::SessionEnd(end));
        if live.profile.is_newest(session) {
            record.transitions = self.rules.segments.session_exits(&live.profile);
        }
        self.state.behind.session_ended(live.profile.id);
        self.state.metrics.sessions_ended.inc();
        self.write(live, ticket, record);
    }

    /// `wake_up`: segments that read no event field are evaluated on time alone.
    pub(super) fn wake_up(&mut self, live: &mut Live, due: Timestamp) {
        let ticket = self.ticket(live);
        let decided_at = ticket.decided_at();
        let moment = Moment::of(&live.profile, decided_at);
        let Decided {
            mut transitions,
            wake_up,
        } = self.evaluation().decide(moment);
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
        let fold = Fold::WakeUp(WakeUpFold { due, wake_up });
        let mut record = self.system(live, &ticket, "wake_up", due, fold);
        record.transitions = transitions;
        self.state.metrics.wake_ups.inc();
        self.write(live, ticket, record);
    }

    /// `profile_merged`: the loser's state goes into the winner, which is evaluated once.
    pub(super) fn merge(&mut self, winner: &mut Live, loser: &mut Live, at: Timestamp) {
        let ticket = self.ticket(winner);
        self.state.behind.touch(loser, ticket.offset());
        let (id, decided_at, offset) = (winner.profile.id, ticket.decided_at(), ticket.offset());
        let fold = Fold::ProfileMerged(ProfileMerged {
            winner: id,
            loser: loser.profile.id,
            wake_up: None,
        });
        let mut record = self.system(winner, &ticket, "profile_merged", at, fold);
        let received = fold::received(&mut winner.profile, Some(&loser.profile), &record);
        merge::retire(&mut loser.profile, id, offset);
        for identifier in loser.profile.identifiers.iter() {
            let profiles = &self.state.profiles;
            profiles.point(profiles.key(identifier.namespace, &identifier.value), id);
        }
        let (inherited, exits) = self.memberships(received.profile(), &loser.profile);
        // The verdicts turn what it is in once it has inherited.
        let mut memberships = received.profile().memberships.clone();
        for transition in &inherited {
            memberships.apply(transition.id, transition.change, transition.epoch);
        }
        let decided = self.evaluation().decide(Moment {
            memberships: &memberships,
            ..Moment::of(received.profile(), decided_at)
        });
        let transitions = net(&inherited, &decided.transitions, exits);
        record.decide(transitions, decided.wake_up);
        received.decided(&record, offset);
        self.state.metrics.merges.inc();
        self.fill_system(winner, ticket, record);
    }

    /// What the winner is in because the loser was, and the loser's exits.
    fn memberships(
        &self,
        winner: &Profile,
        loser: &Profile,
    ) -> (Vec<TransitionRef<'a>>, Vec<TransitionRef<'a>>) {
        let (mut inherited, mut exits) = (Vec::new(), Vec::new());
        let rules = self.rules;
        let mut take = |segment, transition: &dyn Fn(Change, u32) -> TransitionRef<'a>| {
            let theirs = loser.memberships.get(segment);
            if !theirs.member {
                return;
            }
            let mut exit = transition(Change::Exit, theirs.epoch.saturating_add(1));
            exit.reason = Some("merged");
            exit.profile = Some(loser.id);
            exits.push(exit);
            let own = winner.memberships.get(segment);
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
        self.rules.evaluation(&self.state.metrics.rule_traps)
    }

    fn ticket(&mut self, live: &mut Live) -> Ticket {
        let ticket = self.reservation.ticket(self.now);
        self.state.behind.touch(live, ticket.offset());
        ticket
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
            purposes: hit.consent.purposes,
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
            self.state.dedup.remember(key, offset, true);
        }
        ticket.fill(payload);
        offset
    }

    /// A record of our own about a locked person, without names and with nothing decided.
    fn system<'r>(
        &self,
        live: &Live,
        ticket: &Ticket,
        event: &'static str,
        at: Timestamp,
        fold: Fold<'r>,
    ) -> Record<'r>
    where
        'a: 'r,
    {
        Record {
            generation: self.rules.generation,
            decided_at: ticket.decided_at(),
            profile: Some(live.profile.id),
            anonymous_id: None,
            user_id: None,
            source: self.source,
            kind: "system",
            event,
            message_id: "",
            event_time: at,
            purposes: live.profile.purposes,
            transitions: Vec::new(),
            fold,
        }
    }

    /// Folds a complete record of our own, and fills it.
    fn write(&self, live: &mut Live, ticket: Ticket, record: Record<'_>) {
        fold::record(&mut live.profile, None, &record, ticket.offset());
        self.fill_system(live, ticket, record);
    }

    /// Names whom a record of our own that was folded is about, and fills it.
    fn fill_system(&self, live: &mut Live, ticket: Ticket, record: Record<'_>) {
        self.state.schedule.add(live);
        let message_id = self.state.writer.message_id();
        let visitor = match &record.fold {
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
            anonymous_id: anonymous_id.as_deref(),
            user_id: user_id.as_deref(),
            message_id: &message_id,
            ..record
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
