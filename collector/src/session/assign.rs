//! Where an event belongs. Reads the visitor's sessions, changes nothing.

use tidegate_event::{Timestamp, VisitorId};

use super::{LATENESS_MAX_MS, Session};

/// Bounds that end a session although its visitor never fell silent (Adobe's visit rules).
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Longest span of one session, milliseconds.
    pub span_ms: i64,
    /// Most events of one session.
    pub events: u16,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            span_ms: 12 * 3_600_000,
            events: 2_500,
        }
    }
}

/// The session of one event; positions are into the slice given to [`assign`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// Too late: it belongs to no session.
    Late,
    /// It belongs to this one.
    Join(usize),
    /// It closes the silence between two: `from` goes into `into`, which it then joins.
    Bridge {
        /// The one opened first.
        into: usize,
        /// The one that ceases.
        from: usize,
    },
    /// It opens a new one.
    Open,
}

/// Decides where an event of `visitor` at `at` belongs. A gap of exactly `gap_ms` stays.
#[must_use]
pub fn assign(
    sessions: &[Session],
    visitor: VisitorId,
    at: Timestamp,
    received_at: Timestamp,
    caps: Caps,
) -> Assignment {
    if received_at.since(at) > LATENESS_MAX_MS {
        return Assignment::Late;
    }
    let mut candidates = sessions
        .iter()
        .enumerate()
        .filter(|(_, session)| session.visitor == visitor && reaches(session, at))
        .filter(|(_, session)| fits(session, at, caps))
        .map(|(position, _)| position);
    let Some(first) = candidates.next() else {
        return Assignment::Open;
    };
    let Some(second) = candidates.next() else {
        return Assignment::Join(first);
    };
    let (into, from) = if sessions[first].index < sessions[second].index {
        (first, second)
    } else {
        (second, first)
    };
    if unite(&sessions[into], &sessions[from], caps) {
        Assignment::Bridge { into, from }
    } else {
        Assignment::Join(into)
    }
}

fn reaches(session: &Session, at: Timestamp) -> bool {
    let gap = i64::from(session.gap_ms);
    at >= session.started_at.plus_ms(-gap) && at <= session.last_at.plus_ms(gap)
}

fn fits(session: &Session, at: Timestamp, caps: Caps) -> bool {
    let span = at.max(session.last_at).since(at.min(session.started_at));
    session.events < caps.events && span <= caps.span_ms
}

fn unite(into: &Session, from: &Session, caps: Caps) -> bool {
    let span = into
        .last_at
        .max(from.last_at)
        .since(into.started_at.min(from.started_at));
    span <= caps.span_ms && into.events.saturating_add(from.events) < caps.events
}
