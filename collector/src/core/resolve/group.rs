//! Which of a hit's identifiers and profiles become one person: the guards.

use parking_lot::MutexGuard;
use smallvec::SmallVec;
use tidegate_event::record::Namespace;
use tidegate_event::{ProfileId, Timestamp};

use super::{Identifier, Wanted};
use crate::core::state::State;
use crate::identity::guards::Tally;
use crate::identity::kinds::{KINDS, Kind};
use crate::profile::live::Live;
use crate::profile::{Profile, merge};

/// The identifiers and profiles that the guards let become one person.
pub(super) struct Group<'w> {
    pub(super) members: SmallVec<[ProfileId; 4]>,
    pub(super) new: SmallVec<[Identifier<'w>; 4]>,
    tally: Tally<'static>,
    /// Merges within the hour, those that this hit brings included.
    merges: u32,
}

impl<'w> Group<'w> {
    /// Takes the identifiers in order of priority; one that would break a guard is dropped, and
    /// the event goes on without it (Segment Unify's rule).
    pub(super) fn form(
        state: &State,
        wanted: &Wanted<'w>,
        found: &[Option<ProfileId>],
        guards: &[MutexGuard<'_, Live>],
        now: Timestamp,
    ) -> Self {
        let mut group = Self {
            members: SmallVec::new(),
            new: SmallVec::new(),
            tally: Tally::new(KINDS, state.settings.identifiers_max),
            merges: 0,
        };
        for (wanted, found) in wanted.ids.iter().zip(found) {
            match found {
                None => group.attach(state, *wanted),
                Some(id) if group.members.contains(id) => {}
                Some(id) => {
                    let Some(guard) = guards.iter().find(|g| g.profile.id == *id) else {
                        continue;
                    };
                    group.join(state, &guard.profile, now);
                }
            }
        }
        group
    }

    fn attach(&mut self, state: &State, id: Identifier<'w>) {
        let alone = self.members.is_empty() && self.new.is_empty();
        let kind = Kind::of(id.0);
        let kept = alone || self.tally.fits(kind);
        if !kept {
            state.metrics.identity_dropped.inc();
            return;
        }
        self.tally.add(kind, id.1);
        self.new.push(id);
    }

    fn join(&mut self, state: &State, profile: &Profile, now: Timestamp) {
        let alone = self.members.is_empty() && self.new.is_empty();
        // Joining makes one more merge beside those that either side has behind it.
        let merges = self
            .merges
            .saturating_add(merge::merges_within_the_hour(profile, now));
        let may_merge = self.members.is_empty() || merges < state.settings.merges_per_hour_max;
        let kept = alone || (may_merge && self.tally.fits_all(&profile.identifiers, now));
        if !kept {
            state.metrics.identity_dropped.inc();
            return;
        }
        self.merges = merges.saturating_add(u32::from(!self.members.is_empty()));
        self.members.push(profile.id);
        self.tally.add_all(&profile.identifiers, now);
    }

    /// The device that no profile has and that the guards keep from this group.
    pub(super) fn without_profile(
        &self,
        wanted: &Wanted<'w>,
        found: &[Option<ProfileId>],
    ) -> Option<Identifier<'w>> {
        let at = wanted
            .device
            .filter(|at| wanted.has_session && found[*at].is_none())?;
        let device = wanted.ids[at];
        let taken = self.new.iter().any(|(_, _, key)| *key == device.2);
        (!taken).then_some(device)
    }

    pub(super) fn winner(&self, guards: &[MutexGuard<'_, Live>]) -> Option<ProfileId> {
        guards
            .iter()
            .map(|guard| &guard.profile)
            .filter(|profile| self.members.contains(&profile.id))
            .reduce(|a, b| if merge::is_older(b, a) { b } else { a })
            .map(|profile| profile.id)
    }

    pub(super) fn edges(&self) -> Vec<(Namespace, &'w str)> {
        self.new
            .iter()
            .map(|(namespace, value, _)| (*namespace, *value))
            .collect()
    }
}
