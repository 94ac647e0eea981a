//! Admission by measured delay. Two queues grow in an overloaded gateway: requests that are not yet
//! read, and records that wait for the disk.
//!
//! - **Requests.** A queue that drains is a burst; no request is refused. A queue whose mean wait stays
//!   above `edge.read_delay_target` for [`INTERVAL_MS`] is overload (CoDel, RFC 8289). From then on a
//!   request that waited longer than the target is refused by its head; younger ones are let in. So
//!   the queue stays as short as the target and the processor never idles (as in Maurer, "Fail at
//!   Scale", ACM Queue 13:8). But a refusal costs nearly half of what a request with one event does.
//!   Where refusals take most of the processor, few requests are young enough. Then the limit doubles,
//!   to at most `edge.read_delay_max`: late is better than refused.
//! - **Records.** While the oldest one waits longer than `edge.delay_max`, every request is refused.
//!
//! Nothing here assumes how much the machine can do.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::edge::Edge;
use crate::edge::accept::Accept;

/// How often the queues are looked at.
const TICK_MS: u64 = 10;
/// How long a queue of requests has to stand before anything is refused: longer than a busy disk or
/// a neighbour holds this process up now and then.
const INTERVAL_MS: u64 = 100;
/// Longer waits count as this one in the mean: a single request that was held up for seconds, by
/// its client or by ours, says nothing of the queue.
const WAIT_MAX_MS: u32 = 1_000;
/// With fewer let in than one of so many, refusing takes most of the processor.
const STARVED: u64 = 8;
/// The raised limit decays by this part of itself per tick. Slowly: for a tick in which it is too low,
/// hardly any request is served.
const DECAY: u64 = 32;
/// Samples of the journal's progress kept; the oldest one is what counts.
const SAMPLES_MAX: usize = 1_024;
/// A limit that refuses no request.
const NO_LIMIT: u32 = u32::MAX;

/// How far the journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The next offset to be taken.
    pub next: u64,
    /// Every offset below it is durable.
    pub durable: u64,
}

/// What requests note and ask: a few atomics.
#[derive(Debug)]
pub(in crate::edge) struct Admission {
    /// Waits of the requests since the last look, together.
    waited_ms: AtomicU64,
    asked: AtomicU64,
    admitted: AtomicU64,
    /// The mean wait at the last look: that of a request whose own is not known.
    mean_ms: AtomicU32,
    /// A request that waited so long is refused.
    limit_ms: AtomicU32,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            waited_ms: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            mean_ms: AtomicU32::new(0),
            limit_ms: AtomicU32::new(NO_LIMIT),
        }
    }
}

/// The requests since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Mean wait of those whose wait is known; None: there was none.
    mean_ms: Option<u64>,
    asked: u64,
    admitted: u64,
}

impl Admission {
    /// Whether a request is let in that waited so long to be read; None: it is not known.
    pub(in crate::edge) fn admits(&self, waited_ms: Option<u32>) -> bool {
        let known_ms = waited_ms.unwrap_or_else(|| self.mean_ms.load(Ordering::Relaxed));
        let admits = known_ms < self.limit_ms.load(Ordering::Relaxed);
        if let Some(waited_ms) = waited_ms {
            self.waited_ms
                .fetch_add(waited_ms.min(WAIT_MAX_MS).into(), Ordering::Relaxed);
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.admitted.fetch_add(admits.into(), Ordering::Relaxed);
        }
        admits
    }

    fn seen(&self) -> Seen {
        let waited_ms = self.waited_ms.swap(0, Ordering::Relaxed);
        let asked = self.asked.swap(0, Ordering::Relaxed);
        Seen {
            mean_ms: waited_ms.checked_div(asked),
            asked,
            admitted: self.admitted.swap(0, Ordering::Relaxed),
        }
    }

    fn set(&self, limit_ms: u32, mean_ms: u64) {
        let mean_ms = u32::try_from(mean_ms).unwrap_or(NO_LIMIT - 1);
        self.mean_ms.store(mean_ms, Ordering::Relaxed);
        self.limit_ms.store(limit_ms, Ordering::Relaxed);
    }
}

/// What a look found and decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Mean wait of requests.
    pub(super) read_delay: Duration,
    /// Age of the oldest record that is not durable.
    pub(super) sync_delay: Duration,
    /// Whether requests are refused.
    pub(super) overloaded: bool,
    /// Client addresses remembered.
    pub(super) addresses: usize,
}

/// Looks until dropped.
pub(in crate::edge) async fn watch<A: Accept>(edge: &Edge<A>) {
    let settings = &edge.listening;
    let mut ages = Ages::default();
    let mut queue = Queue::new(settings.read_delay_target_ms, settings.read_delay_max_ms);
    let mut looked_us = edge.clock.monotonic_us();
    loop {
        tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
        let now_us = edge.clock.monotonic_us();
        // A timer is up to a millisecond late by itself; for the rest it waited its turn.
        let late_us = now_us.saturating_sub(looked_us + (TICK_MS + 1) * 1_000);
        looked_us = now_us;
        let seen = edge.admission.seen();
        // A look between two requests finds no queue, and proves none: then the timer's own wait.
        let known_ms = seen.mean_ms.filter(|_| seen.asked > 0);
        let mean_ms = known_ms.unwrap_or(late_us / 1_000);
        let age_us = ages.observe(now_us, edge.core.progress());
        let mut limit_ms = queue.look(now_us / 1_000, known_ms, seen);
        if age_us > settings.delay_max_ms * 1_000 {
            limit_ms = 0;
        }
        edge.admission.set(limit_ms, mean_ms);
        edge.metrics.limits.measured(&Measured {
            read_delay: Duration::from_millis(mean_ms),
            sync_delay: Duration::from_micros(age_us),
            overloaded: limit_ms != NO_LIMIT,
            addresses: edge.in_force.load().address_rate.addresses(),
        });
    }
}

/// From waits to the limit.
#[derive(Debug)]
struct Queue {
    target_ms: u64,
    max_ms: u64,
    /// Since when the mean wait is above the target.
    standing_since_ms: Option<u64>,
    /// While the queue stands.
    limit_ms: Option<u64>,
    /// When a request's wait was last known.
    known_at_ms: u64,
}

impl Queue {
    fn new(target_ms: u64, max_ms: u64) -> Self {
        Self {
            target_ms,
            max_ms: max_ms.max(target_ms),
            standing_since_ms: None,
            limit_ms: None,
            known_at_ms: 0,
        }
    }

    /// The limit from now on. Large batches come less than once a look: only without any for an
    /// interval the queue is gone.
    fn look(&mut self, now_ms: u64, known_ms: Option<u64>, seen: Seen) -> u32 {
        if known_ms.is_some() {
            self.known_at_ms = now_ms;
        }
        let silent = now_ms.saturating_sub(self.known_at_ms) >= INTERVAL_MS;
        match known_ms.or(silent.then_some(0)) {
            Some(mean_ms) => self.limit_ms(now_ms, mean_ms, seen),
            None => self.in_force(),
        }
    }

    fn in_force(&self) -> u32 {
        self.limit_ms
            .map_or(NO_LIMIT, |ms| u32::try_from(ms).unwrap_or(NO_LIMIT))
    }

    fn limit_ms(&mut self, now_ms: u64, mean_ms: u64, seen: Seen) -> u32 {
        if let Some(limit_ms) = self.limit_ms {
            // Refused at the limit, requests wait about as long as it: gone is what is well below.
            self.limit_ms = (mean_ms >= self.target_ms / 2).then(|| self.next(limit_ms, seen));
            self.standing_since_ms = self.limit_ms.and(self.standing_since_ms);
        } else if mean_ms > self.target_ms {
            let since = *self.standing_since_ms.get_or_insert(now_ms);
            if now_ms.saturating_sub(since) >= INTERVAL_MS {
                self.limit_ms = Some(self.target_ms);
            }
        } else {
            self.standing_since_ms = None;
        }
        self.in_force()
    }

    fn next(&self, limit_ms: u64, seen: Seen) -> u64 {
        let next = if seen.admitted * STARVED < seen.asked {
            limit_ms * 2
        } else {
            limit_ms - limit_ms.div_ceil(DECAY)
        };
        next.clamp(self.target_ms, self.max_ms)
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

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Seen = Seen {
        mean_ms: None,
        asked: 100,
        admitted: 100,
    };
    const NONE: Seen = Seen { admitted: 0, ..ALL };

    /// Limits of looks 10 ms apart.
    fn limits(queue: &mut Queue, means_ms: &[u64], seen: Seen) -> Vec<u32> {
        let looks = (1..).zip(means_ms);
        looks
            .map(|(tick, mean_ms)| queue.limit_ms(tick * TICK_MS, *mean_ms, seen))
            .collect()
    }

    #[test]
    fn a_request_that_waited_as_long_as_the_limit_is_refused_and_a_younger_one_is_not() {
        let admission = Admission::default();
        assert!(admission.admits(Some(NO_LIMIT - 1)), "no limit yet");
        admission.set(20, 30);
        assert!(admission.admits(Some(19)));
        assert!(!admission.admits(Some(20)));
        assert!(!admission.admits(None), "taken for the mean");
        let _before = admission.seen();
        admission.admits(Some(10));
        admission.admits(Some(40));
        let seen = Seen {
            mean_ms: Some(25),
            asked: 2,
            admitted: 1,
        };
        assert_eq!(admission.seen(), seen);
        assert_eq!(admission.seen(), Seen::default(), "each is seen once");
    }

    #[test]
    fn a_burst_that_drains_refuses_nobody_however_long_it_waited() {
        let mut queue = Queue::new(20, 150);
        let burst = [0, 900, 600, 300, 100, 10, 0, 400, 200, 50, 30, 21, 5];
        let limits = limits(&mut queue, &burst, ALL);
        assert!(limits.iter().all(|limit| *limit == NO_LIMIT), "{limits:?}");
    }

    #[test]
    fn a_queue_that_stands_is_cut_to_the_target_until_it_is_gone() {
        let mut queue = Queue::new(20, 150);
        let standing = limits(&mut queue, &[90; 12], ALL);
        assert_eq!(standing[9], NO_LIMIT, "not yet");
        assert_eq!(standing[10..], [20, 20], "after {INTERVAL_MS} ms");
        assert_eq!(limits(&mut queue, &[19, 12, 21], ALL), [20, 20, 20]);
        assert_eq!(limits(&mut queue, &[9], ALL), [NO_LIMIT]);
    }

    #[test]
    fn a_look_between_two_requests_says_nothing_until_none_came_for_an_interval() {
        let mut queue = Queue::new(20, 150);
        let known = |tick: u64| tick.is_multiple_of(3).then_some(90);
        let looks: Vec<_> = (1..=20)
            .map(|tick| queue.look(tick * TICK_MS, known(tick), ALL))
            .collect();
        assert_eq!(looks[13], NO_LIMIT, "not yet");
        assert_eq!(looks[14..], [20; 6]);
        let silence: Vec<_> = (21..=28)
            .map(|tick| queue.look(tick * TICK_MS, None, ALL))
            .collect();
        assert_eq!(silence[6..], [20, NO_LIMIT], "after {INTERVAL_MS} ms");
    }

    #[test]
    fn where_refusing_takes_everything_older_requests_are_let_in_as_well() {
        let mut queue = Queue::new(20, 150);
        limits(&mut queue, &[90; 11], ALL);
        assert_eq!(limits(&mut queue, &[90; 4], NONE), [40, 80, 150, 150]);
        let back = limits(&mut queue, &[90; 80], ALL);
        assert_eq!((back[0], back[22], back[49]), (145, 63, 20));
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
