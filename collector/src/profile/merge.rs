//! Two profiles become one: the rule of who wins, and what the winner takes over.
//!
//! Memberships are not decided here; only their epochs are lifted, so that whatever is decided on
//! the merged state gets an epoch above both.

use tidegate_event::{ProfileId, Timestamp};

use super::{Profile, Traits};

const HOUR_S: u32 = 3_600;

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
        let own = winner.traits.take();
        winner.traits = Some(Box::new(Traits::merge(own.as_deref(), theirs)));
    }
    if let Some(theirs) = loser.guest.as_deref() {
        winner.guest = Some(Box::new(theirs.and(winner.guest.as_deref().copied())));
    }
    winner.first_seen = winner.first_seen.min(loser.first_seen);
    winner.last_seen = winner.last_seen.max(loser.last_seen);
    winner.events = winner.events.saturating_add(loser.events);
    winner.page_views = winner.page_views.saturating_add(loser.page_views);
    winner.sessions_opened = winner.sessions_opened.saturating_add(loser.sessions_opened);
    winner.merges = merges_with(winner, loser, now);
}

/// Makes the loser an alias of the winner, its state kept as it is.
pub fn retire(loser: &mut Profile, winner: ProfileId, offset: u64) {
    loser.alias_of = Some(Box::new(winner));
    loser.applied_offset = offset + 1;
}

/// Merges that made this profile, within the hour that began with the first of them.
#[must_use]
pub fn merges_within_the_hour(profile: &Profile, now: Timestamp) -> u32 {
    let (began_s, merges) = profile.merges;
    if seconds(now).saturating_sub(began_s) < HOUR_S {
        u32::from(merges)
    } else {
        0
    }
}

/// `Profile::merges` of the winner: those behind either side, and this one.
fn merges_with(winner: &Profile, loser: &Profile, now: Timestamp) -> (u32, u16) {
    let both = [winner, loser].map(|side| (side.merges.0, merges_within_the_hour(side, now)));
    let running = both.iter().filter(|(_, merges)| *merges > 0);
    let began_s = running.map(|(began_s, _)| *began_s).min();
    let merges = both[0].1.saturating_add(both[1].1).saturating_add(1);
    (
        began_s.unwrap_or_else(|| seconds(now)),
        u16::try_from(merges).unwrap_or(u16::MAX),
    )
}

fn seconds(now: Timestamp) -> u32 {
    u32::try_from(now.0.div_euclid(1_000)).unwrap_or(0)
}
