//! An outbox as the activation cursor sees it: rows and position in one atomic write, a bound for
//! each destination, writes that fail. Its destinations answer as the simulation says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::SmallRng;
use tidegate_activation::Intent;

use crate::cursors::activation;

pub(super) const DESTINATIONS: usize = 3;
/// Rows of one destination.
const ROWS_MAX: usize = 6;
/// Attempts until a row is a dead letter.
const ATTEMPTS_MAX: u32 = 8;

/// A change that has to reach each destination: offset and position in its record.
pub(super) type Change = (u64, usize);

/// Clones are one outbox; it outlives the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cursor: u64,
    destinations: [Destination; DESTINATIONS],
    /// No destination is configured.
    unwanted: bool,
    closed: bool,
    fails: Option<Failure>,
    /// Changes that came behind a newer one of their key.
    disordered: u64,
}

#[derive(Debug, Default)]
struct Destination {
    rows: VecDeque<Row>,
    ended: BTreeSet<Change>,
    newest: BTreeMap<(u128, String), u64>,
    answer: Answer,
}

#[derive(Debug)]
struct Row {
    change: Change,
    key: (u128, String),
    attempts: u32,
}

/// What a destination answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Answer {
    /// 200
    #[default]
    Accepts,
    /// 500: another attempt comes.
    Fails,
    /// 400: a dead letter.
    Refuses,
    /// 429 or no answer: nothing moves.
    Waits,
    /// 410: switched off, its rows wait and it takes no capacity.
    Gone,
}

/// How the next write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// Nothing of it is stored.
    Before,
    /// All of it is stored, and the caller is not told.
    After,
}

impl activation::Outbox for Outbox {
    type Error = &'static str;

    fn wants_nothing(&self) -> bool {
        self.0.lock().unwanted
    }

    fn cursor(&self) -> u64 {
        self.0.lock().cursor
    }

    fn hand_in(&self, batch: &[Intent], next: u64) -> Result<u64, &'static str> {
        let mut state = self.0.lock();
        let failure = state.fails.take();
        if state.closed || failure == Some(Failure::Before) {
            return Err("the simulated outbox takes no writes");
        }
        let taken = state.take(batch, next);
        match failure {
            Some(_) => Err("the simulated outbox lost its answer"),
            None => Ok(taken),
        }
    }
}

impl State {
    fn take(&mut self, batch: &[Intent], next: u64) -> u64 {
        if next <= self.cursor {
            return next;
        }
        let mut stored = false;
        for record in batch.chunk_by(|one, other| one.offset == other.offset) {
            let offset = record[0].offset;
            if offset < self.cursor {
                continue;
            }
            if !self.unwanted && self.destinations.iter().any(Destination::is_full) {
                if stored {
                    self.cursor = offset;
                }
                return offset;
            }
            for (index, intent) in record.iter().enumerate() {
                if !self.unwanted {
                    stored = true;
                    for destination in &mut self.destinations {
                        destination.push((offset, index), intent);
                    }
                }
            }
        }
        if stored {
            self.cursor = next;
        }
        next
    }
}

impl Destination {
    /// It delivers, and has no capacity now: worth waiting for.
    fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX && matches!(self.answer, Answer::Accepts | Answer::Fails)
    }

    fn push(&mut self, change: Change, intent: &Intent) {
        if self.rows.len() >= ROWS_MAX && !self.is_full() {
            // Held back and full: a dead letter at once.
            self.ended.insert(change);
            return;
        }
        self.rows.push_back(Row {
            change,
            key: (intent.profile.0, intent.segment.clone()),
            attempts: 0,
        });
    }

    /// One attempt at a row that is the first of its key. Returns how many came out of order.
    fn attempt(&mut self, random: &mut SmallRng) -> u64 {
        let mut keys = BTreeSet::new();
        let firsts: Vec<usize> = (0..self.rows.len())
            .filter(|at| keys.insert(self.rows[*at].key.clone()))
            .collect();
        if firsts.is_empty() {
            return 0;
        }
        let at = firsts[random.random_range(0..firsts.len())];
        self.rows[at].attempts += 1;
        let ends = match self.answer {
            Answer::Accepts | Answer::Refuses => true,
            Answer::Fails => self.rows[at].attempts >= ATTEMPTS_MAX,
            Answer::Waits | Answer::Gone => false,
        };
        if !ends {
            return 0;
        }
        let row = self.rows.remove(at).expect("it was just found");
        let first = self.ended.insert(row.change);
        let newest = self.newest.entry(row.key).or_default();
        let disordered = first && *newest > row.change.0;
        *newest = row.change.0.max(*newest);
        u64::from(disordered)
    }
}

impl Outbox {
    /// Attempts something, or changes how a destination answers.
    pub(super) fn act(&self, random: &mut SmallRng) {
        let mut state = self.0.lock();
        let at = random.random_range(0..DESTINATIONS);
        let destination = &mut state.destinations[at];
        if random.random_bool(0.1) {
            destination.answer = match random.random_range(0..8) {
                0..4 => Answer::Accepts,
                4 => Answer::Fails,
                5 => Answer::Refuses,
                6 => Answer::Waits,
                _ => Answer::Gone,
            };
        }
        let mut disordered = 0;
        for _ in 0..random.random_range(1..4) {
            disordered += destination.attempt(random);
        }
        state.disordered += disordered;
    }

    /// Fails the next write, or closes or opens the store.
    pub(super) fn disturb(&self, random: &mut SmallRng) {
        let mut state = self.0.lock();
        match random.random_range(0..4) {
            0 => state.fails = Some(Failure::Before),
            1 => state.fails = Some(Failure::After),
            2 => state.closed = true,
            _ => state.closed = false,
        }
    }

    /// Takes the destinations out of the catalog, or puts them back; true where some are wanted.
    pub(super) fn configure(&self, wanted: bool) {
        self.0.lock().unwanted = !wanted;
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.0.lock().unwanted
    }

    /// Every destination accepts and the store writes.
    pub(super) fn heal(&self) {
        let mut state = self.0.lock();
        state.closed = false;
        state.fails = None;
        for destination in &mut state.destinations {
            destination.answer = Answer::Accepts;
        }
    }

    /// One attempt at each destination.
    pub(super) fn work(&self, random: &mut SmallRng) {
        let mut state = self.0.lock();
        let state = &mut *state;
        for destination in &mut state.destinations {
            state.disordered += destination.attempt(random);
        }
    }

    /// Whether the next hand-in may get on.
    pub(super) fn has_room(&self) -> bool {
        let state = self.0.lock();
        state.closed || !state.destinations.iter().any(Destination::is_full)
    }

    /// Rows stored at all destinations.
    pub(super) fn rows(&self) -> usize {
        let state = self.0.lock();
        state.destinations.iter().map(|one| one.rows.len()).sum()
    }

    pub(super) fn disordered(&self) -> u64 {
        self.0.lock().disordered
    }

    /// The first destination that neither ended this change nor stores it.
    pub(super) fn lacks(&self, change: Change) -> Option<usize> {
        let state = self.0.lock();
        state.destinations.iter().position(|destination| {
            let stored = destination.rows.iter().any(|row| row.change == change);
            !stored && !destination.ended.contains(&change)
        })
    }
}
