//! The profiles in memory and the identity index over them, with the store behind: found by id or
//! by identifier, loaded once, evicted only while clean and held by nobody.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::{Mutex, MutexGuard, RwLock};
use siphasher::sip128::{Hasher128, SipHasher13};
use tidegate_event::record::Namespace;
use tidegate_event::{ProfileId, Timestamp};

use super::room::Room;
use super::row::{self, Stored};
use super::store::{ProfileWrite, Store, StoreError};
use super::{OptionalTime, Profile};

/// Loads and evictions of one id are serialised by its stripe; nothing else takes it.
const STRIPES: usize = 256;
/// Shards of each map. While one grows, its visitors wait: so many keep that well below a
/// millisecond for a million.
const SHARDS: usize = 256;
/// Merges chain; a chain this long cannot arise under the merge rate and size caps.
const ALIAS_HOPS_MAX: usize = 64;

/// `first_dirty` of a profile whose row is up to date.
pub const CLEAN: u64 = u64::MAX;

/// A profile in memory with what the checkpoint needs to know about its row.
#[derive(Debug)]
pub struct Live {
    /// The state.
    pub profile: Profile,
    /// Offset of the oldest change that its row lacks; [`CLEAN`] where there is none.
    pub first_dirty: u64,
    /// So many of its identifiers are in the store's index.
    edges_saved: usize,
    /// The due time in the store's index; what is due is never earlier.
    due_indexed: OptionalTime,
    /// The earliest time the timers will look at it.
    pub scheduled: OptionalTime,
}

/// A profile that can be locked. The lock is never held across an await.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Place>);

/// Where a profile stands in memory: its id can be read without the lock.
#[derive(Debug)]
struct Place {
    id: ProfileId,
    live: Mutex<Live>,
}

impl Shared {
    fn new(live: Live) -> Self {
        Self(Arc::new(Place {
            id: live.profile.id,
            live: Mutex::new(live),
        }))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, Live> {
        self.0.live.lock()
    }

    /// Whose it is.
    #[must_use]
    pub fn id(&self) -> ProfileId {
        self.0.id
    }

    /// True where it is unlocked and its row is up to date.
    fn is_clean(&self) -> bool {
        let live = self.0.live.try_lock();
        live.is_some_and(|live| live.first_dirty == CLEAN)
    }
}

/// Found by its id, which so takes no room in the map.
impl Borrow<ProfileId> for Shared {
    fn borrow(&self) -> &ProfileId {
        &self.0.id
    }
}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Shared {}

/// What an identifier is tied to: a profile in memory, by half the bytes of its id. Does not keep
/// it there, and only its id is read: whether it still is in memory the map alone knows.
#[derive(Debug)]
struct Tie(Weak<Place>);

impl Tie {
    fn to(shared: &Shared) -> Self {
        Self(Arc::downgrade(&shared.0))
    }

    /// None where the profile has left memory.
    fn id(&self) -> Option<ProfileId> {
        self.0.upgrade().map(|place| place.id)
    }
}

/// 128-bit keyed hash of an identifier: exact for all purposes, and 16 bytes whatever its length.
// Aligned as a `ProfileId`, and for the same reason.
#[repr(Rust, packed(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdentityKey(u128);

/// How the due index follows a written profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueIndex {
    /// The index may keep an earlier time while it is after `until`. The reader then finds the profile
    /// in memory, or the true time in its row. Most events only put the session's end off: this saves
    /// their write.
    Lazy {
        /// How far the index is read ahead.
        until: Timestamp,
    },
    /// The true time: the profile leaves memory.
    Exact,
}

impl Live {
    fn new(id: ProfileId) -> Self {
        Self {
            profile: Profile::new(id),
            edges_saved: 0,
            due_indexed: OptionalTime::NONE,
            first_dirty: CLEAN,
            scheduled: OptionalTime::NONE,
        }
    }

    fn loaded(stored: Stored) -> Self {
        Self {
            edges_saved: stored.profile.identifiers.len(),
            due_indexed: stored.due_indexed.into(),
            profile: stored.profile,
            first_dirty: CLEAN,
            scheduled: OptionalTime::NONE,
        }
    }

    /// What the checkpoint writes for it.
    ///
    /// # Errors
    /// [`StoreError::Row`] cannot happen for a state that the fold made.
    pub fn write(&self, index: DueIndex) -> Result<ProfileWrite, StoreError> {
        let (due, due_before) = (self.profile.due(), self.due_indexed.get());
        let indexed = match index {
            DueIndex::Lazy { until } => due_before.filter(|indexed| *indexed > until),
            DueIndex::Exact => None,
        };
        let stays = indexed.filter(|indexed| due.is_some_and(|due| *indexed <= due));
        let due = stays.or(due);
        // A retired profile's identifiers are the winner's now.
        let theirs = self.profile.alias_of.is_some();
        let saved = if theirs { usize::MAX } else { self.edges_saved };
        Ok(ProfileWrite {
            id: self.profile.id,
            row: row::write(&self.profile, due)?,
            edges: self
                .profile
                .identifiers
                .iter()
                .skip(saved)
                .map(|id| (id.namespace, id.value.into()))
                .collect(),
            due_before,
            due,
        })
    }

    /// True where it was never written.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.edges_saved == 0
    }

    /// True where its row is behind, or its due time in the index is not the true one.
    #[must_use]
    pub fn needs_row(&self) -> bool {
        self.first_dirty != CLEAN || self.due_indexed.get() != self.profile.due()
    }

    /// The write above is on disk; the state had `applied_offset` and `identifiers` when it was
    /// taken. Changes since then stay dirty. True where it is clean now.
    pub fn written(&mut self, applied: u64, identifiers: usize, due: Option<Timestamp>) -> bool {
        self.edges_saved = identifiers;
        self.due_indexed = due.into();
        self.first_dirty = if self.profile.applied_offset == applied {
            CLEAN
        } else {
            applied
        };
        self.first_dirty == CLEAN
    }
}

/// All profiles, in memory and at rest.
#[derive(Debug)]
pub struct Profiles {
    live: DashMap<Shared, (), ahash::RandomState>,
    index: DashMap<IdentityKey, Tie, ahash::RandomState>,
    stripes: Box<[Mutex<()>]>,
    room: Room,
    /// Where [`Profiles::next_of_all`] goes on.
    hand: AtomicUsize,
    /// None while the database is opened again.
    store: RwLock<Option<Arc<Store>>>,
    hash_key: [u8; 16],
}

/// Hashes by the store's secret key: senders cannot foresee it, and a simulation gets the same order
/// of profiles in each run.
fn hasher(hash_key: [u8; 16]) -> ahash::RandomState {
    let half = |at: usize| {
        let bytes = hash_key[at..].iter().take(8);
        bytes.fold(0, |word: u64, byte| word << 8 | u64::from(*byte))
    };
    let (low, high) = (half(0), half(8));
    ahash::RandomState::with_seeds(low, high, !low, !high)
}

impl Profiles {
    /// No profile in memory yet, and room for `live_max` and the slack of [`Room::new`].
    #[must_use]
    pub fn new(store: Store, hash_key: [u8; 16], live_max: usize) -> Self {
        Self {
            live: DashMap::with_hasher_and_shard_amount(hasher(hash_key), SHARDS),
            index: DashMap::with_hasher_and_shard_amount(hasher(hash_key), SHARDS),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            room: Room::new(live_max),
            hand: AtomicUsize::new(0),
            store: RwLock::new(Some(Arc::new(store))),
            hash_key,
        }
    }

    /// The places for profiles in memory.
    #[must_use]
    pub const fn room(&self) -> &Room {
        &self.room
    }

    /// The store behind.
    ///
    /// # Errors
    /// [`StoreError::Closed`]
    pub fn store(&self) -> Result<Arc<Store>, StoreError> {
        self.store.read().clone().ok_or(StoreError::Closed)
    }

    /// Goes on with another handle to the same store, or with none: whoever needs it is then told
    /// that it is closed.
    pub fn exchange_store(&self, store: Option<Store>) {
        *self.store.write() = store.map(Arc::new);
    }

    /// The key of an identifier.
    #[must_use]
    pub fn key(&self, namespace: Namespace, value: &str) -> IdentityKey {
        let mut hasher = SipHasher13::new_with_key(&self.hash_key);
        hasher.write_u8(namespace as u8);
        hasher.write(value.as_bytes());
        IdentityKey(hasher.finish128().as_u128())
    }

    /// The profile an identifier is tied to, memory first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn resolve(
        &self,
        key: IdentityKey,
        namespace: Namespace,
        value: &str,
    ) -> Result<Option<ProfileId>, StoreError> {
        if let Some(found) = self.indexed(key) {
            return Ok(Some(found));
        }
        self.store()?.identity(namespace, value)
    }

    /// What the index in memory says; None also where only the store knows.
    #[must_use]
    pub fn indexed(&self, key: IdentityKey) -> Option<ProfileId> {
        self.index.get(&key).and_then(|tie| tie.id())
    }

    /// The profile, loaded where it is only at rest.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::MemoryFull`] where there is no place for another one.
    pub fn get(&self, id: ProfileId) -> Result<Option<Shared>, StoreError> {
        if let Some(found) = self.in_memory(id) {
            return Ok(Some(found));
        }
        // Without the stripe an eviction between reading and inserting the row could bring an old
        // state back.
        let _loading = self.stripe(id).lock();
        if let Some(found) = self.in_memory(id) {
            return Ok(Some(found));
        }
        let Some(stored) = self.store()?.profile(id)? else {
            return Ok(None);
        };
        self.take_place()?;
        let shared = Shared::new(Live::loaded(stored));
        let live = shared.lock();
        if live.profile.alias_of.is_none() {
            for identifier in live.profile.identifiers.iter() {
                let key = self.key(identifier.namespace, &identifier.value);
                self.tie(key, &shared);
            }
        }
        drop(live);
        self.live.insert(shared.clone(), ());
        Ok(Some(shared))
    }

    /// The profile that `id` stands for now, following aliases.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn canonical(&self, mut id: ProfileId) -> Result<Option<Shared>, StoreError> {
        for _ in 0..ALIAS_HOPS_MAX {
            let Some(shared) = self.get(id)? else {
                return Ok(None);
            };
            let alias_of = shared.lock().profile.alias_of.as_deref().copied();
            match alias_of {
                None => return Ok(Some(shared)),
                Some(winner) => id = winner,
            }
        }
        Err(StoreError::Aliases(id))
    }

    /// Adds a new profile.
    ///
    /// # Errors
    /// [`StoreError::MemoryFull`]
    pub fn create(&self, id: ProfileId) -> Result<Shared, StoreError> {
        self.take_place()?;
        let shared = Shared::new(Live::new(id));
        self.live.insert(shared.clone(), ());
        Ok(shared)
    }

    fn take_place(&self) -> Result<(), StoreError> {
        if self.room.take() {
            return Ok(());
        }
        Err(StoreError::MemoryFull {
            live: self.room.taken(),
        })
    }

    /// Takes back a profile from [`Profiles::create`] that got no identifier.
    pub fn discard(&self, id: ProfileId) {
        if self.live.remove(&id).is_some() {
            self.room.give_back();
        }
    }

    /// Ties an identifier to the profile `id`, which is in memory, unless it is tied already; true
    /// where it is tied to it now.
    #[must_use]
    pub fn claim(&self, key: IdentityKey, id: ProfileId) -> bool {
        let shared = self.in_memory(id);
        shared.is_some_and(|shared| self.tie(key, &shared) == id)
    }

    /// Takes a [`Profiles::claim`] back.
    pub fn unclaim(&self, key: IdentityKey, id: ProfileId) {
        self.index.remove_if(&key, |_, tie| tie.id() == Some(id));
    }

    /// Ties an identifier to the profile `id`, which is in memory, whatever it was tied to: a
    /// merge, or a replay.
    pub fn point(&self, key: IdentityKey, id: ProfileId) {
        if let Some(shared) = self.in_memory(id) {
            self.index.insert(key, Tie::to(&shared));
        }
    }

    /// Lets a profile go from memory where it is clean and nobody holds or waits for it.
    pub fn evict(&self, id: ProfileId) -> bool {
        let _evicting = self.stripe(id).lock();
        let gone = self.live.remove_if(&id, |shared, ()| {
            Arc::strong_count(&shared.0) == 1 && shared.is_clean()
        });
        let Some((shared, ())) = gone else {
            return false;
        };
        self.room.give_back();
        let live = shared.lock();
        for identifier in live.profile.identifiers.iter() {
            let key = self.key(identifier.namespace, &identifier.value);
            self.unclaim(key, id);
        }
        true
    }

    /// Removes the stored profile with its identifiers and due time where it is not in memory and
    /// `may_go`, asked with its last event's time and its applied offset, says so.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn remove_stored(
        &self,
        id: ProfileId,
        may_go: impl FnOnce(Timestamp, u64) -> bool,
    ) -> Result<bool, StoreError> {
        let _removing = self.stripe(id).lock();
        if self.is_live(id) {
            return Ok(false);
        }
        let store = self.store()?;
        let Some(stored) = store.profile(id)? else {
            return Ok(false);
        };
        let profile = &stored.profile;
        if !may_go(profile.active_at(), profile.applied_offset) {
            return Ok(false);
        }
        store.remove(&stored)?;
        Ok(true)
    }

    /// True where it is in memory.
    #[must_use]
    pub fn is_live(&self, id: ProfileId) -> bool {
        self.live.contains_key(&id)
    }

    /// Profiles in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.room.taken()
    }

    /// True where none is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids of up to `max` profiles in memory, another stretch of them with each call, so that all
    /// have their turn. Goes over the map up to there, about 10 ns a profile.
    #[must_use]
    pub fn next_of_all(&self, max: usize) -> Vec<ProfileId> {
        let len = self.len().max(1);
        let begin = self.hand.fetch_add(max, Ordering::Relaxed) % len;
        let mut found = self.ids(begin, max);
        found.extend(self.ids(0, begin.min(max - found.len())));
        found
    }

    /// Every profile in memory, one after another; none is held while `each` runs.
    pub fn each(&self, mut each: impl FnMut(ProfileId, &Shared)) {
        for id in self.ids(0, usize::MAX) {
            if let Some(shared) = self.in_memory(id) {
                each(id, &shared);
            }
        }
    }

    fn ids(&self, skip: usize, max: usize) -> Vec<ProfileId> {
        let entries = self.live.iter().skip(skip).take(max);
        entries.map(|entry| entry.key().id()).collect()
    }

    /// The profile where it is in memory.
    #[must_use]
    pub fn in_memory(&self, id: ProfileId) -> Option<Shared> {
        self.live.get(&id).map(|found| found.key().clone())
    }

    /// The profile to which the identifier is tied, which is this one where it was to none.
    fn tie(&self, key: IdentityKey, shared: &Shared) -> ProfileId {
        match self.index.entry(key) {
            Entry::Occupied(mut taken) => taken.get().id().unwrap_or_else(|| {
                taken.insert(Tie::to(shared));
                shared.id()
            }),
            Entry::Vacant(free) => {
                free.insert(Tie::to(shared));
                shared.id()
            }
        }
    }

    fn stripe(&self, id: ProfileId) -> &Mutex<()> {
        let lowest = usize::from(id.0.to_le_bytes()[0]);
        &self.stripes[lowest % STRIPES]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LAZY: DueIndex = DueIndex::Lazy {
        until: Timestamp(4),
    };

    fn live(due: i64, indexed: Option<i64>) -> Live {
        let mut live = Live::new(ProfileId(1));
        live.profile.wake_up = Some(Timestamp(due)).into();
        live.due_indexed = indexed.map(Timestamp).into();
        live
    }

    fn written(live: &Live, index: DueIndex) -> Option<i64> {
        live.write(index).unwrap().due.map(|due| due.0)
    }

    #[test]
    fn a_due_time_that_is_put_off_leaves_the_index_as_it_is_until_the_profile_leaves_memory() {
        assert_eq!(written(&live(9, Some(5)), LAZY), Some(5));
        assert_eq!(written(&live(9, Some(5)), DueIndex::Exact), Some(9));
    }

    #[test]
    fn a_time_that_has_come_does_not_stay_in_the_index() {
        assert_eq!(written(&live(9, Some(4)), LAZY), Some(9));
    }

    #[test]
    fn the_index_is_never_later_than_what_is_due() {
        assert_eq!(written(&live(3, Some(5)), LAZY), Some(3));
        assert_eq!(written(&live(3, None), LAZY), Some(3));
    }

    #[test]
    fn an_identifier_leads_to_its_profile_again_after_that_left_memory() {
        let directory = tempfile::tempdir().unwrap();
        let database = fjall::Database::builder(directory.path()).open().unwrap();
        let profiles = Profiles::new(Store::open(database).unwrap(), [7; 16], 100);
        let (id, namespace) = (ProfileId(1), Namespace::UserId);
        let key = profiles.key(namespace, "ada");
        let shared = profiles.create(id).unwrap();
        assert!(profiles.claim(key, id));
        let mut live = shared.lock();
        live.profile
            .identifiers
            .push(namespace, Timestamp(0), "ada");
        let row = live.write(DueIndex::Exact).unwrap();
        drop(live);
        profiles.store().unwrap().write(vec![row], &[]).unwrap();
        assert!(!profiles.evict(id), "it is held");
        drop(shared);
        assert!(profiles.evict(id));
        assert_eq!(profiles.indexed(key), None);
        assert_eq!(profiles.resolve(key, namespace, "ada").unwrap(), Some(id));
        let _loaded = profiles.get(id).unwrap().unwrap();
        assert_eq!(profiles.indexed(key), Some(id));
        let other = profiles.create(ProfileId(2)).unwrap();
        assert!(!profiles.claim(key, other.id()), "it is tied already");
    }

    #[test]
    fn all_profiles_have_their_turn_to_be_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let database = fjall::Database::builder(directory.path()).open().unwrap();
        let profiles = Profiles::new(Store::open(database).unwrap(), [7; 16], 100);
        let all: BTreeSet<_> = (0..10).map(ProfileId).collect();
        for id in &all {
            profiles.create(*id).unwrap();
        }
        let some = |_| profiles.next_of_all(4);
        let seen: Vec<_> = (0..5).flat_map(some).collect();
        assert_eq!(seen.len(), 20);
        assert_eq!(all, seen.into_iter().collect());
        assert_eq!(profiles.next_of_all(40).len(), 10);
    }

    #[test]
    fn a_profile_with_nothing_due_leaves_the_index() {
        let mut live = live(9, Some(5));
        live.profile.wake_up = OptionalTime::NONE;
        assert_eq!(written(&live, LAZY), None);
    }
}
