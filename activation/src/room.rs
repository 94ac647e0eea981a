//! Who may have one more row in the outbox. Each destination has a part of its own, so that one
//! that cannot deliver takes no place from another. Decides only: no store, no clock.

use std::sync::Arc;

use tidegate_event::Timestamp;

use crate::destination::Destination;
use crate::settings::Settings;

/// How long hand-in waits for a full destination that delivers, in milliseconds: long enough for
/// a burst, and all that a slow one ever costs the others until its queue is half empty again.
const PATIENCE_MS: i64 = 1_000;

/// What a destination can have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A row.
    Free,
    /// Perhaps a row soon: it is full, and delivers.
    Soon,
    /// None: a further change is a dead letter.
    None,
}

/// A destination that was full: how many rows it had, since when, and whether anybody was told.
/// It stands until half of them are gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    rows: u64,
    since: Timestamp,
    told: bool,
}

/// The outbox's places, and the destinations that share them.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Those that are configured now; what others left in the outbox takes nobody's place.
    members: Vec<Arc<Destination>>,
    rows_max: u64,
    destination_rows_max: u64,
    /// Places of each member that no other may take.
    reserve: u64,
}

/// How much of a destination's part is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Beyond it a key with a row that waits gets no further one: the newest change replaces it.
    Half,
    /// Beyond it a profile with rows gets no further one.
    ThreeQuarters,
    /// For profiles without rows.
    Whole,
}

impl Share {
    const fn of(self, rows: u64) -> u64 {
        match self {
            Self::Half => rows - rows / 2,
            Self::ThreeQuarters => rows - rows / 4,
            Self::Whole => rows,
        }
    }
}

impl Room {
    /// Half of the places is kept in equal parts; the other half goes to whoever needs it first.
    pub(crate) fn new(members: Vec<Arc<Destination>>, settings: &Settings) -> Self {
        let halves = 2 * (members.len() as u64).max(1);
        Self {
            members,
            rows_max: settings.outbox_rows_max,
            destination_rows_max: settings.destination_rows_max,
            // At least one, however many there are: nobody is shut out.
            reserve: (settings.outbox_rows_max / halves).max(1),
        }
    }

    /// Has `destination` less than a share of its part, with `ahead` rows that are not counted yet?
    pub(crate) fn has_place(&self, destination: &Destination, share: Share, ahead: u64) -> bool {
        let rows = destination.rows() + ahead;
        if rows >= share.of(self.destination_rows_max) {
            return false;
        }
        let reserved = self.reserve.saturating_mul(self.members.len() as u64);
        let common = share.of(self.rows_max.saturating_sub(reserved));
        let taken = || -> u64 {
            let of = |member: &Arc<Destination>| member.rows().saturating_sub(self.reserve);
            self.members.iter().map(of).sum::<u64>() + ahead
        };
        rows < share.of(self.reserve) || taken() < common
    }

    /// As [`Room::has_place`], and whether it is worth waiting where not.
    pub(crate) fn place(&self, destination: &Destination, share: Share, now: Timestamp) -> Place {
        let rows = destination.rows();
        let mut wall = destination.wall.lock();
        wall.take_if(|wall| rows <= wall.rows / 2);
        if self.has_place(destination, share, 0) {
            return Place::Free;
        }
        let wall = wall.get_or_insert(Wall {
            rows,
            since: now,
            told: false,
        });
        match wall.patience_ms(now) {
            Some(_) if !destination.is_held_back() => Place::Soon,
            Some(_) | None => Place::None,
        }
    }

    /// How long to wait at most before the next hand-in, in milliseconds; None: not at all.
    pub(crate) fn patience_ms(&self, now: Timestamp) -> Option<u64> {
        let of = |member: &Arc<Destination>| {
            let wall = (*member.wall.lock())?;
            let still = member.rows() > wall.rows / 2 && !member.is_held_back();
            still.then(|| wall.patience_ms(now)).flatten()
        };
        self.members.iter().filter_map(of).max()
    }
}

impl Wall {
    /// What is left of the patience; None where it is over, or the clock went back behind it.
    fn patience_ms(&self, now: Timestamp) -> Option<u64> {
        let waited = now.since(self.since);
        let left = PATIENCE_MS - waited;
        (waited >= 0 && left > 0).then_some(left.unsigned_abs())
    }

    /// True the first time.
    pub(crate) fn tell(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }
}
