//! Which destination may have one more row in the outbox. Each has a reserved part, so that one that
//! cannot deliver takes no capacity from another. Decides only: no store, no clock.

use std::sync::Arc;

use tidegate_event::Timestamp;

use crate::destination::Destination;
use crate::settings::Settings;

/// How long hand-in waits for a full destination that delivers, in milliseconds: long enough for
/// a burst, and all that a slow one ever costs the others until its queue is half empty again.
const PATIENCE_MS: i64 = 1_000;

/// What a destination can have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Available {
    /// A row.
    Free,
    /// Perhaps a row soon: it is full, and delivers.
    Soon,
    /// None: a further change is a dead letter.
    None,
}

/// A destination that was full: how many rows it had, since when, and whether that was reported. It
/// counts as full until half of the rows are gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full {
    rows: u64,
    since: Timestamp,
    reported: bool,
}

/// The outbox's capacity in rows, and the destinations that share it.
#[derive(Debug, Default)]
pub(crate) struct Capacity {
    /// Those that are configured now; what others left in the outbox takes none of their capacity.
    members: Vec<Arc<Destination>>,
    rows_max: u64,
    destination_rows_max: u64,
    /// Rows of each member that no other may take.
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

impl Capacity {
    /// Half of the rows is reserved in equal parts; the other half is first come, first served.
    pub(crate) fn new(members: Vec<Arc<Destination>>, settings: &Settings) -> Self {
        let halves = 2 * (members.len() as u64).max(1);
        Self {
            members,
            rows_max: settings.outbox_rows_max,
            destination_rows_max: settings.destination_rows_max,
            // At least one, however many there are: none is shut out.
            reserve: (settings.outbox_rows_max / halves).max(1),
        }
    }

    /// Has `destination` less than a share of its part, with `ahead` rows that are not counted yet?
    pub(crate) fn has_capacity(&self, destination: &Destination, share: Share, ahead: u64) -> bool {
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

    /// As [`Capacity::has_capacity`], and whether it is worth waiting where not.
    pub(crate) fn available(
        &self,
        destination: &Destination,
        share: Share,
        now: Timestamp,
    ) -> Available {
        let rows = destination.rows();
        let mut full = destination.full.lock();
        full.take_if(|full| rows <= full.rows / 2);
        if self.has_capacity(destination, share, 0) {
            return Available::Free;
        }
        let full = full.get_or_insert(Full {
            rows,
            since: now,
            reported: false,
        });
        match full.patience_ms(now) {
            Some(_) if !destination.is_held_back() => Available::Soon,
            Some(_) | None => Available::None,
        }
    }

    /// How long to wait at most before the next hand-in, in milliseconds; None: not at all.
    pub(crate) fn patience_ms(&self, now: Timestamp) -> Option<u64> {
        let of = |member: &Arc<Destination>| {
            let full = (*member.full.lock())?;
            let still = member.rows() > full.rows / 2 && !member.is_held_back();
            still.then(|| full.patience_ms(now)).flatten()
        };
        self.members.iter().filter_map(of).max()
    }
}

impl Full {
    /// What is left of the patience; None where it is over, or the clock went back behind it.
    fn patience_ms(&self, now: Timestamp) -> Option<u64> {
        let waited = now.since(self.since);
        let left = PATIENCE_MS - waited;
        (waited >= 0 && left > 0).then_some(left.unsigned_abs())
    }

    /// True the first time.
    pub(crate) fn report(&mut self) -> bool {
        !std::mem::replace(&mut self.reported, true)
    }
}
