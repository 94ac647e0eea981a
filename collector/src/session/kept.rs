//! Finds a session among those that are kept. Reads only.

use tidegate_event::record::SessionRef;

use super::{KEPT_MAX, Session};

/// Where `session` stands in `sessions`.
#[must_use]
pub fn position(sessions: &[Session], session: SessionRef) -> Option<usize> {
    sessions
        .iter()
        .position(|s| s.visitor == session.visitor && s.index == session.index)
}

/// Of the visitor's kept sessions, the one to let go when a further one opens; None while fewer
/// than [`KEPT_MAX`] are kept.
#[must_use]
pub fn surplus(sessions: &[Session], session: SessionRef) -> Option<usize> {
    let of_visitor = || {
        sessions
            .iter()
            .enumerate()
            .filter(|(_, s)| s.visitor == session.visitor)
    };
    if of_visitor().count() < KEPT_MAX {
        return None;
    }
    of_visitor()
        .min_by_key(|(_, s)| (s.last_at, s.index))
        .map(|(position, _)| position)
}
