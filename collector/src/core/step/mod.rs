//! Writes records while the person is locked: takes the ticket, folds, decides, encodes, fills.
//!
//! Every method leaves state and journal agreeing: it makes the record first, and changes the profile
//! only by folding that record.

mod merge;
mod encode;

use tidegate_event::identity::Identifiers;
use tidegate_event::record::{
    DeviceStart, EventFold, Fold, SessionContinued, SessionEnd, SessionMerged, SessionRef,
    WakeUpFold,
};
use tidegate_event::{Enriched, Identity, Timestamp};
use tidegate_journal::{Reservation, Ticket};

use super::state::State;
use crate::decide::{Decided, Evaluation, Moment, Rules};
use crate::profile::fold;
use crate::profile::live::Live;
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

    fn evaluation(&self) -> Evaluation<'a> {
        self.rules.evaluation(&self.state.metrics.rule_traps)
    }

    fn ticket(&mut self, live: &mut Live) -> Ticket {
        let ticket = self.reservation.ticket(self.now);
        self.state.behind.touch(live, ticket.offset());
        ticket
    }
}
