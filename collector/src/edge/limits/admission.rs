//! Admission by measured delay: how long records wait for the disk, and how late this process gets
//! to its work. While the larger of both is above `edge.delay_max`, a growing share of the requests
//! is refused at their head, before a body is read; below it the share shrinks again.
//!
//! Not by guess: nothing here assumes how much the machine can do.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::edge::Edge;
use crate::edge::accept::Accept;

/// How often the delay is measured.
const TICK_MS: u64 = 10;
/// Ticks that the delay has to be above the limit before anything is refused: one late timer or one
/// slow fdatasync is no overload (CoDel's interval, RFC 8289).
const HOLD_TICKS: u32 = 10;
/// Added to the refused share in each further tick, times how often the delay is the limit (at most
/// 4 times): full refusal within 50 ms of a standstill, within 200 ms of a slight excess.
const RISE: f64 = 0.05;
/// Taken off in each tick below it: half a second from full refusal to none.
const FALL: f64 = 0.02;
/// Some are always let through: without them nothing would be measured.
const SHARE_MAX: f64 = 0.98;
/// Samples of the journal's progress kept; the oldest one is what counts.
const SAMPLES_MAX: usize = 1_024;

/// How far the journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The next offset to be taken.
    pub next: u64,
    /// Every offset below it is durable.
    pub durable: u64,
}

/// What requests ask: two atomics.
#[derive(Debug, Default)]
pub(in crate::edge) struct Admission {
    /// The refused share, in 2^-32.
    share: AtomicU32,
    /// Carried from request to request; its overflow refuses one.
    owed: AtomicU32,
}

impl Admission {
    /// Whether one more request is let in: refusals are spread evenly.
    pub(in crate::edge) fn admits(&self) -> bool {
        let share = self.share.load(Ordering::Relaxed);
        if share == 0 {
            return true;
        }
        let owed = self.owed.fetch_add(share, Ordering::Relaxed);
        owed.checked_add(share).is_some()
    }

    fn refuse(&self, share: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share lies between 0 and SHARE_MAX"
        )]
        let share = (share * f64::from(u32::MAX)) as u32;
        self.share.store(share, Ordering::Relaxed);
    }
}

/// Measures until dropped.
pub(in crate::edge) async fn watch<A: Accept, G>(edge: &Edge<A, G>) {
    let mut ages = Ages::default();
    let mut controller = Controller::new(edge.listening.delay_max_ms * 1_000);
    loop {
        let slept_at = edge.clock.monotonic_us();
        tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
        let now = edge.clock.monotonic_us();
        // A timer is up to a millisecond late by itself.
        let late = now.saturating_sub(slept_at + (TICK_MS + 1) * 1_000);
        let delay = late.max(ages.observe(now, edge.core.progress()));
        let share = controller.step(delay);
        edge.admission.refuse(share);
        let delay = Duration::from_micros(delay);
        let addresses = edge.in_force.load().address_rate.addresses();
        edge.metrics.limits.measured(delay, share, addresses);
    }
}

/// How long the oldest record that is not durable has waited. A sample a tick stands for all the
/// records since the one before it, so that no record costs anything.
#[derive(Debug, Default)]
struct Ages {
    /// Time and the next offset then, ascending in both.
    samples: VecDeque<(u64, u64)>,
}

impl Ages {
    /// Microseconds, too long by up to a tick.
    fn observe(&mut self, now_us: u64, progress: Progress) -> u64 {
        while self
            .samples
            .front()
            .is_some_and(|(_, next)| *next <= progress.durable)
        {
            self.samples.pop_front();
        }
        let newest = self
            .samples
            .back()
            .map_or(progress.durable, |(_, next)| *next);
        if progress.next > newest && self.samples.len() < SAMPLES_MAX {
            self.samples.push_back((now_us, progress.next));
        }
        self.samples
            .front()
            .map_or(0, |(at, _)| now_us.saturating_sub(*at))
    }
}

/// From delay to refused share. Additive both ways: it settles where the delay stays at the limit.
#[derive(Debug)]
struct Controller {
    delay_max_us: u64,
    /// Ticks in a row above the limit.
    above: u32,
    share: f64,
}

impl Controller {
    const fn new(delay_max_us: u64) -> Self {
        Self {
            delay_max_us,
            above: 0,
            share: 0.0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio of two delays")]
    fn step(&mut self, delay_us: u64) -> f64 {
        self.above = if delay_us > self.delay_max_us {
            self.above.saturating_add(1)
        } else {
            0
        };
        self.share = if self.above > HOLD_TICKS {
            let excess = delay_us as f64 / self.delay_max_us.max(1) as f64;
            (self.share + RISE * excess.min(4.0)).min(SHARE_MAX)
        } else if self.above > 0 {
            self.share
        } else {
            (self.share - FALL).max(0.0)
        };
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_spread_evenly() {
        let admission = Admission::default();
        admission.refuse(0.25);
        let admitted: Vec<bool> = (0..1_000).map(|_| admission.admits()).collect();
        let refused = admitted.iter().filter(|admitted| !**admitted).count();
        assert!((249..=251).contains(&refused), "{refused}");
        assert!(admitted.chunks(8).all(|eight| eight.iter().any(|a| !a)));
    }

    #[test]
    fn one_stall_refuses_nobody() {
        let mut controller = Controller::new(100_000);
        for delay_us in [0, 900_000, 0, 150_000, 120_000, 0] {
            assert_eq!(controller.step(delay_us), 0.0);
        }
    }

    #[test]
    fn a_standstill_refuses_nearly_all_within_150_ms_and_lets_all_in_within_half_a_second_after() {
        let mut controller = Controller::new(100_000);
        let ticks = (1..)
            .find(|_| controller.step(400_000) >= SHARE_MAX)
            .unwrap();
        assert!(ticks <= 15, "{ticks}");
        let ticks = (1..).find(|_| controller.step(0) == 0.0).unwrap();
        assert!(ticks <= 50, "{ticks}");
    }

    #[test]
    fn the_age_is_that_of_the_oldest_record_that_is_not_durable() {
        let mut ages = Ages::default();
        let at = |next, durable| Progress { next, durable };
        assert_eq!(ages.observe(1_000, at(5, 5)), 0);
        assert_eq!(ages.observe(2_000, at(9, 5)), 0);
        assert_eq!(ages.observe(3_000, at(12, 5)), 1_000);
        assert_eq!(ages.observe(4_000, at(12, 9)), 1_000, "those of 3,000 wait");
        assert_eq!(ages.observe(5_000, at(12, 12)), 0);
    }

    #[test]
    fn a_journal_that_stands_still_costs_bounded_memory() {
        let mut ages = Ages::default();
        for tick in 0..100_000 {
            ages.observe(
                tick,
                Progress {
                    next: tick + 1,
                    durable: 0,
                },
            );
        }
        assert_eq!(ages.samples.len(), SAMPLES_MAX);
        assert_eq!(
            ages.observe(
                200_000,
                Progress {
                    next: 1,
                    durable: 0
                }
            ),
            200_000
        );
    }
}
