//! One person's state: identifiers, sessions, aggregates, memberships, the next wake-up.
//!
//! Changed only by [`fold`], which reads journal records; knows neither rules nor storage.

pub mod optional_time;
pub mod aggregate;
pub mod membership;
pub mod traits;
pub mod guest;
pub mod fold;
pub mod merge;
pub mod row;
pub mod store;
pub mod census;
pub mod room;
pub mod live;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidegate_event::record::Namespace;
use tidegate_event::{ProfileId, Purposes, Timestamp, VisitorId};

pub use crate::identity::Identifiers;
pub use aggregate::Cells;
pub use guest::Guest;
pub use membership::Memberships;
pub use optional_time::OptionalTime;
pub use traits::Traits;

use crate::list::List;
use crate::session::Session;

/// The state of one person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Its id.
    pub id: ProfileId,
    /// `decided_at` of its first record; [`Profile::UNBORN`] before it.
    pub created_at: Timestamp,
    /// Every record of this profile below this offset is folded in.
    pub applied_offset: u64,
    /// The profile it was merged into. Its own state then stays as it was at the merge: a replay
    /// that reaches the merge again needs it. Boxed: few profiles have one, all pay for its room.
    pub alias_of: Option<Box<ProfileId>>,
    /// What it is known by.
    pub identifiers: Identifiers,
    /// Each visitor's latest session index.
    pub visitors: List<(VisitorId, u32)>,
    /// The visitors' kept sessions.
    pub sessions: List<Session>,
    /// Aggregates.
    pub cells: Cells,
    /// Segments it was ever in.
    pub memberships: Memberships,
    /// When a segment's verdict may change without an event.
    pub wake_up: OptionalTime,
    /// Accumulated traits. Boxed, as is the next: many profiles have none.
    pub traits: Option<Box<Traits>>,
    /// Its part in the sessions of other profiles' devices, while one lasts.
    pub guest: Option<Box<Guest>>,
    /// Earliest event time.
    pub first_seen: Timestamp,
    /// Latest event time.
    pub last_seen: Timestamp,
    /// Events.
    pub events: u32,
    /// Page and screen views.
    pub page_views: u32,
    /// Sessions opened.
    pub sessions_opened: u32,
    /// What the newest event's consent allows; what time alone decides follows it.
    pub purposes: Purposes,
    /// When the current hour of merges began, seconds since 1970, and how many were in it. Rows of
    /// earlier builds hold the hour since 1970: long over, whichever way it is read.
    pub merges: (u32, u16),
}

impl Profile {
    /// `created_at` of a profile that no record has reached.
    pub const UNBORN: Timestamp = Timestamp(i64::MAX);

    /// A profile without any record.
    #[must_use]
    pub fn new(id: ProfileId) -> Self {
        Self {
            id,
            created_at: Self::UNBORN,
            applied_offset: 0,
            alias_of: None,
            identifiers: Identifiers::default(),
            visitors: List::default(),
            sessions: List::default(),
            cells: Cells::default(),
            memberships: Memberships::default(),
            wake_up: OptionalTime::NONE,
            traits: None,
            guest: None,
            first_seen: Timestamp(i64::MAX),
            last_seen: Timestamp(i64::MIN),
            events: 0,
            page_views: 0,
            sessions_opened: 0,
            purposes: Purposes::NONE,
            merges: (0, 0),
        }
    }

    /// The person's id.
    #[must_use]
    pub fn user_id(&self) -> Option<Cow<'_, str>> {
        self.identifiers.first(Namespace::UserId)
    }

    /// The newest of its devices' ids.
    #[must_use]
    pub fn anonymous_id(&self) -> Option<Cow<'_, str>> {
        self.identifiers.last(Namespace::AnonymousId)
    }

    /// Index of the visitor's latest session; 0 before its first.
    #[must_use]
    pub fn session_index(&self, visitor: VisitorId) -> u32 {
        self.visitors
            .iter()
            .find(|(v, _)| *v == visitor)
            .map_or(0, |(_, index)| *index)
    }

    /// The open session with the latest event.
    #[must_use]
    pub fn open_session(&self) -> Option<&Session> {
        self.sessions
            .iter()
            .filter(|s| !s.ended)
            .max_by_key(|s| (s.last_at, s.index))
    }

    /// The session that `session.*` is about where time alone decides: the newest open one. None
    /// where that is on another profile's device: this profile does not have its counters.
    #[must_use]
    pub fn current_session(&self, now: Timestamp) -> Option<&Session> {
        let newest = self.open_session()?;
        (!self.is_guest_after(newest.last_at, now)).then_some(newest)
    }

    /// The session that `session.*` is about for an event of `session`: that one, or a newer one
    /// that is open, where the event is late and belongs to an older session.
    #[must_use]
    pub fn session_beside<'s>(
        &'s self,
        session: &'s Session,
        now: Timestamp,
    ) -> Option<&'s Session> {
        let newer = self
            .open_session()
            .filter(|own| own.last_at > session.last_at);
        let newest = newer.unwrap_or(session);
        (!self.is_guest_after(newest.last_at, now)).then_some(newest)
    }

    fn is_guest_after(&self, at: Timestamp, now: Timestamp) -> bool {
        let guest = self.guest.as_deref();
        guest.is_some_and(|guest| guest.due > now && guest.last_at > at)
    }

    /// True where the end of `session` leaves no newer one: then `session.*` becomes false.
    #[must_use]
    pub fn is_newest(&self, session: &Session) -> bool {
        let key = |session: &Session| (session.last_at, session.index);
        let open = self.sessions.iter().filter(|other| !other.ended);
        let guest = self.guest.as_deref();
        open.map(key).all(|other| other <= key(session))
            && guest.is_none_or(|guest| guest.last_at <= session.last_at)
    }

    /// True where the newest session that it was in is over: its own has ended, and so has its
    /// part in another profile's.
    #[must_use]
    pub fn is_between_sessions(&self, now: Timestamp) -> bool {
        let open = self.open_session();
        self.guest.as_deref().map_or(open.is_none(), |guest| {
            guest.due <= now && open.is_none_or(|open| open.last_at < guest.last_at)
        })
    }

    /// When time alone may change a membership next: a wake-up, or the end of its part in another
    /// profile's session.
    #[must_use]
    pub fn wake_up_due(&self) -> Option<Timestamp> {
        let guest = self.guest.as_deref().map(|guest| guest.due);
        self.wake_up.get().into_iter().chain(guest).min()
    }

    /// When it was last of use: its last event, or the last one of a session that another person's
    /// events continue. A device's own profile has only the latter.
    #[must_use]
    pub fn active_at(&self) -> Timestamp {
        let sessions = self.sessions.iter();
        sessions
            .map(|session| session.last_at)
            .fold(self.last_seen, Ord::max)
    }

    /// The next time that something is due: a session's end or a wake-up.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        if self.alias_of.is_some() {
            return None;
        }
        self.sessions
            .iter()
            .filter(|s| !s.ended)
            .map(|s| s.due)
            .chain(self.wake_up_due())
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_profile_takes_at_most_216_bytes_beside_what_it_points_to() {
        assert!(
            size_of::<live::Live>() <= 216,
            "{}",
            size_of::<live::Live>()
        );
    }

    #[test]
    fn a_session_takes_80_bytes() {
        assert_eq!(size_of::<Session>(), 80);
    }
}
