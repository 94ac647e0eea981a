//! How records change a visitor's sessions. Deterministic: the same records give the same sessions.

use tidegate_event::Timestamp;
use tidegate_event::record::{SessionEnd, SessionMerged, SessionRef};

use crate::list::List;

use super::{BURST_EVENTS, BURST_MS, LATENESS_MAX_MS, Session, SessionEvent, position, surplus};

impl Session {
    fn opened(session: SessionRef, at: Timestamp) -> Self {
        Self {
            id: session.id.to_le_bytes(),
            visitor: session.visitor,
            started_at: at,
            last_at: at,
            due: at.plus_ms(i64::from(session.gap_ms)),
            burst_at: Timestamp(i64::MIN),
            index: session.index,
            gap_ms: session.gap_ms,
            events: 0,
            page_views: 0,
            conversions: 0,
            visible_ms: 0,
            revision: 0,
            burst: 0,
            ended: false,
            bot_suspect: false,
        }
    }

    fn take(&mut self, event: &SessionEvent) {
        self.started_at = self.started_at.min(event.at);
        self.last_at = self.last_at.max(event.at);
        self.due = self
            .due
            .max(self.last_at.plus_ms(i64::from(self.gap_ms)))
            .max(event.received_at);
        self.events = self.events.saturating_add(1);
        self.page_views = self.page_views.saturating_add(u16::from(event.page_view));
        self.conversions = self.conversions.saturating_add(u16::from(event.conversion));
        self.visible_ms = self.visible_ms.saturating_add(event.visible_ms);
        self.ended = false;
        self.count_burst(event.received_at);
    }

    fn count_burst(&mut self, received_at: Timestamp) {
        if received_at.since(self.burst_at) > BURST_MS {
            self.burst_at = received_at;
            self.burst = 0;
        }
        self.burst = self.burst.saturating_add(1);
        self.bot_suspect |= self.burst >= BURST_EVENTS;
    }

    fn absorb(&mut self, other: &Self) {
        self.started_at = self.started_at.min(other.started_at);
        self.last_at = self.last_at.max(other.last_at);
        self.due = self.due.max(other.due);
        self.events = self.events.saturating_add(other.events);
        self.page_views = self.page_views.saturating_add(other.page_views);
        self.conversions = self.conversions.saturating_add(other.conversions);
        self.visible_ms = self.visible_ms.saturating_add(other.visible_ms);
        self.bot_suspect |= other.bot_suspect;
        self.ended &= other.ended;
    }
}

/// `session_start`: opens it; the visitor's surplus session goes.
pub fn start(sessions: &mut List<Session>, session: SessionRef, at: Timestamp) {
    if let Some(gone) = surplus(sessions, session) {
        sessions.remove(gone);
    }
    sessions.push(Session::opened(session, at));
}

/// An event of `session`; ended sessions that no event can reach any more are let go.
pub fn event(sessions: &mut List<Session>, session: SessionRef, event: &SessionEvent) {
    if let Some(found) = position(sessions, session) {
        sessions[found].take(event);
    }
    sessions.retain(|s| {
        !s.ended
            || s.last_at.plus_ms(i64::from(s.gap_ms)) >= event.received_at.plus_ms(-LATENESS_MAX_MS)
    });
}

/// `session_end`.
pub fn end(sessions: &mut [Session], end: &SessionEnd) {
    if let Some(found) = position(sessions, end.session) {
        sessions[found].ended = true;
        sessions[found].revision = end.revision;
    }
}

/// `session_merged`: `from` goes into `into`.
pub fn merged(sessions: &mut List<Session>, merged: &SessionMerged) {
    let from = SessionRef {
        index: merged.from_index,
        ..merged.into
    };
    let Some(from) = position(sessions, from) else {
        return;
    };
    let from = sessions.remove(from);
    if let Some(into) = position(sessions, merged.into) {
        sessions[into].absorb(&from);
        sessions[into].revision = merged.revision;
    }
}
