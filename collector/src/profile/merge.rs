//! Two profiles become one: the rule of who wins, and what the winner takes over.
//!
//! Memberships are not decided here; only their epochs are lifted, so that whatever is decided on
//! the merged state gets an epoch above both.

use tidegate_event::{ProfileId, Timestamp};

use super::{Profile, traits};

const HOUR_MS: i64 = 3_600_000;

/// True where `a` is the older and so the winner: created first, else the smaller id.
#[must_use]
pub fn is_older(a: &Profile, b: &Profile) -> bool {
    (a.created_at, a.id) < (b.created_at, b.id)
}

/// Takes the loser's state into the winner. The loser is only read.
pub fn absorb(winner: &mut Profile, loser: &Profile, now: Timestamp) {
    winner.identifiers.extend(&loser.identifiers);
    for (visitor, index) in loser.visitors.iter() {
        if let Some((_, own)) = winner.visitors.iter_mut().find(|(v, _)| v == visitor) {
            *own = (*own).max(*index);
        } else {
            winner.visitors.push((*visitor, *index));
        }
    }
    winner.sessions.extend(loser.sessions.iter().cloned());
    winner.cells.merge(&loser.cells);
    winner.memberships.lift_epochs(&loser.memberships);
    // The winner's own traits are as new as the person's other half; they stay on top.
    if let Some(theirs) = &loser.traits {
        let own = winner.traits.as_deref().unwrap_or("{}");
        winner.traits = Some(traits::merge(own, theirs));
    }
    winner.first_seen = winner.first_seen.min(loser.first_seen);
    winner.last_seen = winner.last_seen.max(loser.last_seen);
    winner.events = winner.events.saturating_add(loser.events);
    winner.page_views = winner.page_views.saturating_add(loser.page_views);
    winner.sessions_opened = winner.sessions_opened.saturating_add(loser.sessions_opened);
    let hour = hour(now);
    let before = if winner.merges.0 == hour {
        winner.merges.1
    } else {
        0
    };
    winner.merges = (hour, before.saturating_add(1));
}

/// Makes the loser an alias of the winner, its state kept as it is.
pub fn retire(loser: &mut Profile, winner: ProfileId, offset: u64) {
    loser.alias_of = Some(Box::new(winner));
    loser.applied_offset = offset + 1;
}

/// Merges into this profile within the hour of `now`.
#[must_use]
pub fn merges_this_hour(profile: &Profile, now: Timestamp) -> u32 {
    if profile.merges.0 == hour(now) {
        u32::from(profile.merges.1)
    } else {
        0
    }
}

fn hour(now: Timestamp) -> u32 {
    u32::try_from(now.0.div_euclid(HOUR_MS)).unwrap_or(0)
}
