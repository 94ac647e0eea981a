//! Whose hit it is: identifiers to profiles, locks in order, and the merge guards.
//!
//! Profiles are loaded before any lock; then the candidates are locked in ascending id, and it is
//! checked that nothing changed meanwhile.

mod group;

use parking_lot::MutexGuard;
use smallvec::SmallVec;
use tidegate_event::ProfileId;
use tidegate_event::identity::Identifiers;
use tidegate_event::record::Namespace;

use super::Newcomers;
use super::state::State;
use crate::identity::candidates::by_priority;
use crate::profile::live::{IdentityKey, Live, Shared};
use crate::profile::store::StoreError;
use group::Group;

/// How often a hit starts over because its profiles changed between look-up and lock.
const TRIES: usize = 16;

/// Why a hit's person was not found or made.
#[derive(Debug)]
pub(super) enum Unresolved {
    /// The profile store.
    Store(StoreError),
    /// Its sender made as many new profiles as it may.
    NewProfiles {
        /// Seconds.
        retry_after_s: u32,
    },
}

impl From<StoreError> for Unresolved {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// An identifier as sent, with its key.
type Identifier<'a> = (Namespace, &'a str, IdentityKey);

/// The identifiers of one hit, highest priority first.
pub(super) struct Wanted<'a> {
    ids: SmallVec<[Identifier<'a>; 4]>,
    /// Which of them names the device, whose sessions the hit belongs to.
    device: Option<usize>,
    /// It may belong to a session, which needs a profile that has the device.
    has_session: bool,
    /// The only identifier was minted for this request: no look-up can find it.
    minted: bool,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(state: &State, ids: &'a Identifiers<'_>, has_session: bool) -> Self {
        let mut wanted = SmallVec::new();
        for (namespace, id) in by_priority(ids) {
            if !wanted
                .iter()
                .any(|(n, known, _)| *n == namespace && *known == id)
            {
                wanted.push((namespace, id, state.profiles.key(namespace, id)));
            }
        }
        let minted = ids.minted && wanted.len() == 1;
        let device = wanted.iter().position(|(namespace, id, _)| {
            *namespace == Namespace::AnonymousId && ids.anonymous_id.as_deref() == Some(*id)
        });
        Self {
            ids: wanted,
            device,
            has_session,
            minted,
        }
    }
}

/// The profiles that a hit's identifiers lead to, loaded and not locked.
pub(super) struct Candidates {
    /// For each wanted identifier: the profile it is tied to.
    found: SmallVec<[Option<ProfileId>; 4]>,
    /// Each profile once, in ascending id.
    shared: SmallVec<[(ProfileId, Shared); 4]>,
}

/// One person, locked.
pub(super) struct Person<'p, 'w> {
    /// The profile: the winner where others merge into it.
    pub(super) live: &'p mut Live,
    /// Those that merge into it.
    pub(super) losers: SmallVec<[&'p mut Live; 2]>,
    /// Where the device is another profile's, which a guard keeps apart: that profile.
    pub(super) device: Option<&'p mut Live>,
    /// Where no profile could take the device: its id. The profile of `device` is new and its own.
    pub(super) new_device: Option<&'w str>,
    /// Identifiers to tie to it.
    pub(super) edges: Vec<(Namespace, &'w str)>,
}

impl Candidates {
    pub(super) fn load(state: &State, wanted: &Wanted<'_>) -> Result<Self, StoreError> {
        let mut candidates = Self {
            found: SmallVec::new(),
            shared: SmallVec::new(),
        };
        for (namespace, id, key) in &wanted.ids {
            let tied = if wanted.minted {
                None
            } else {
                state.profiles.resolve(*key, *namespace, id)?
            };
            let shared = tied
                .map(|id| state.profiles.canonical(id))
                .transpose()?
                .flatten();
            let id = shared.as_ref().map(Shared::id);
            if let (Some(id), Some(shared)) = (id, shared)
                && !candidates.shared.iter().any(|(known, _)| *known == id)
            {
                candidates.shared.push((id, shared));
            }
            candidates.found.push(id);
        }
        candidates.shared.sort_unstable_by_key(|(id, _)| *id);
        Ok(candidates)
    }

    /// Locks the person and runs `fold` on it; starts over while others change the same profiles.
    pub(super) fn with_person<'w, R>(
        mut self,
        state: &State,
        wanted: &Wanted<'w>,
        newcomers: &dyn Newcomers,
        mut fold: impl FnMut(Person<'_, 'w>) -> R,
    ) -> Result<R, Unresolved> {
        for _ in 0..TRIES {
            if let Some(done) = self.attempt(state, wanted, newcomers, &mut fold)? {
                return Ok(done);
            }
            self = Self::load(state, wanted)?;
        }
        Err(StoreError::Contended { tries: TRIES }.into())
    }

    fn attempt<'w, R>(
        &self,
        state: &State,
        wanted: &Wanted<'w>,
        newcomers: &dyn Newcomers,
        fold: &mut impl FnMut(Person<'_, 'w>) -> R,
    ) -> Result<Option<R>, Unresolved> {
        let mut guards: SmallVec<[MutexGuard<'_, Live>; 4]> = self
            .shared
            .iter()
            .map(|(_, shared)| shared.lock())
            .collect();
        // Schedule all candidates: the due-index scan skips profiles that are in memory.
        for guard in &mut guards {
            state.schedule.add(guard);
        }
        if !self.still_holds(state, wanted, &guards) {
            return Ok(None);
        }
        let now = state.writer.now();
        let owner = wanted.device.and_then(|at| self.found[at]);
        let group = Group::form(state, wanted, &self.found, &guards, now);
        if group.members.is_empty() {
            let mut others = guards.iter_mut().map(|guard| &mut **guard);
            let device = others.find(|live| Some(live.profile.id) == owner);
            return create(state, &group, newcomers, device, fold);
        }
        let Some(winner) = group.winner(&guards) else {
            return Ok(None);
        };
        let new_device = group.without_profile(wanted, &self.found);
        let own = new_device.map(|_| state.profiles.create(ProfileId(state.writer.mint())));
        let own = own.transpose()?;
        let mut own = own.as_ref().map(Shared::lock);
        let claimed = new_device.zip(own.as_deref());
        if !claim_both(state, winner, &group, claimed, newcomers)? {
            return Ok(None);
        }
        let (mut live, mut device, mut losers) = (None, own.as_deref_mut(), SmallVec::new());
        for guard in &mut guards {
            let id = guard.profile.id;
            if id == winner {
                live = Some(&mut **guard);
            } else if group.members.contains(&id) {
                losers.push(&mut **guard);
            } else if Some(id) == owner {
                device = Some(&mut **guard);
            }
        }
        Ok(live.map(|live| {
            fold(Person {
                live,
                losers,
                device,
                new_device: new_device.map(|(_, id, _)| id),
                edges: group.edges(),
            })
        }))
    }

    fn still_holds(
        &self,
        state: &State,
        wanted: &Wanted<'_>,
        guards: &[MutexGuard<'_, Live>],
    ) -> bool {
        let live = guards.iter().all(|guard| guard.profile.alias_of.is_none());
        live && wanted
            .ids
            .iter()
            .zip(&self.found)
            .all(|((_, _, key), found)| wanted.minted || state.profiles.indexed(*key) == *found)
    }
}

fn create<'w, R>(
    state: &State,
    group: &Group<'w>,
    newcomers: &dyn Newcomers,
    device: Option<&mut Live>,
    fold: &mut impl FnMut(Person<'_, 'w>) -> R,
) -> Result<Option<R>, Unresolved> {
    let id = ProfileId(state.writer.mint());
    let shared = state.profiles.create(id)?;
    let mut live = shared.lock();
    if claim(state, id, group).is_none() {
        state.profiles.discard(id);
        return Ok(None);
    }
    // Once it is sure that the hit is the first of its identifiers.
    if let Err(retry_after_s) = newcomers.take() {
        unclaim(state, id, &group.new);
        state.profiles.discard(id);
        return Err(Unresolved::NewProfiles { retry_after_s });
    }
    let edges = group.edges();
    Ok(Some(fold(Person {
        live: &mut live,
        losers: SmallVec::new(),
        device,
        new_device: None,
        edges,
    })))
}

/// Ties the group's new identifiers to `winner`, and a device that no profile took to its own new
/// profile. False, and nothing is tied, where another hit was faster.
fn claim_both(
    state: &State,
    winner: ProfileId,
    group: &Group<'_>,
    device: Option<(Identifier<'_>, &Live)>,
    newcomers: &dyn Newcomers,
) -> Result<bool, Unresolved> {
    let claimed = claim(state, winner, group).is_some();
    let Some(((_, _, key), own)) = device else {
        return Ok(claimed);
    };
    let id = own.profile.id;
    let both = claimed && state.profiles.claim(key, id);
    let taken = if both { newcomers.take() } else { Ok(()) };
    if both && taken.is_ok() {
        return Ok(true);
    }
    if both {
        state.profiles.unclaim(key, id);
    }
    if claimed {
        unclaim(state, winner, &group.new);
    }
    state.profiles.discard(id);
    match taken {
        Ok(()) => Ok(false),
        Err(retry_after_s) => Err(Unresolved::NewProfiles { retry_after_s }),
    }
}

/// Ties the group's new identifiers to `id`; undone where another hit was faster.
fn claim(state: &State, id: ProfileId, group: &Group<'_>) -> Option<()> {
    for (position, (_, _, key)) in group.new.iter().enumerate() {
        if !state.profiles.claim(*key, id) {
            unclaim(state, id, &group.new[..position]);
            return None;
        }
    }
    Some(())
}

fn unclaim(state: &State, id: ProfileId, claimed: &[Identifier<'_>]) {
    for (_, _, key) in claimed {
        state.profiles.unclaim(*key, id);
    }
}
