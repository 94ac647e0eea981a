//! What one destination costs the others, counted by the storage.

use std::sync::Arc;

use super::world::{Hand, config};
use crate::clock::Clock;
use crate::intent::tests::intent;
use crate::retry::Answer;
use crate::settings::Settings;
use crate::simulation::{Engine, MemoryStorage, Space, Step};
use crate::{Activation, BreakerState, DestinationConfig};

const OK: u16 = 200;
const REFUSED: u16 = 400;

pub(super) struct Bench {
    pub(super) storage: MemoryStorage,
    pub(super) clock: Arc<Hand>,
    pub(super) activation: Activation,
    pub(super) engine: Engine,
    next: u64,
}

impl Bench {
    pub(super) fn new(settings: Settings, configs: &[DestinationConfig]) -> Self {
        Self::over(MemoryStorage::default(), settings, configs)
    }

    /// Opens what is stored already.
    pub(super) fn over(
        storage: MemoryStorage,
        settings: Settings,
        configs: &[DestinationConfig],
    ) -> Self {
        let clock = Hand::new();
        let given = Arc::clone(&clock) as Arc<dyn Clock>;
        let opened = Activation::stepped(Arc::new(storage.clone()), given, settings, 1);
        let (activation, engine) = opened.unwrap();
        activation.set_destinations(configs).unwrap();
        Self {
            storage,
            clock,
            activation,
            engine,
            next: 1,
        }
    }

    fn hand_in(&mut self, changes: u64) {
        let offsets = self.next..self.next + changes;
        let batch: Vec<_> = offsets.map(|n| intent(n.into(), 1, n)).collect();
        self.next += changes;
        self.activation.hand_in(&batch, self.next).unwrap();
    }

    /// Operations of so many changes. The least of some rounds: one of them may prune.
    fn least_operations(&mut self, changes: u64, status: u16) -> u64 {
        let mut round = || {
            let before = self.storage.operations();
            self.hand_in(changes);
            self.run(|_| status);
            self.clock.pass(10);
            self.storage.operations() - before
        };
        (0..8).map(|_| round()).min().unwrap()
    }

    /// Delivers until nothing moves; `status` answers for a destination.
    pub(super) fn run(&mut self, status: impl Fn(&str) -> u16) {
        loop {
            let mut moved = self.engine.store_has_work();
            while self.engine.store_has_work() {
                assert_eq!(self.engine.store_step(), Step::Again);
            }
            for name in self.engine.workers() {
                moved |= self.engine.look(&name).is_some();
            }
            for sent in self.engine.flights() {
                let answer = Answer::Status {
                    code: status(&sent.destination),
                    retry_after_ms: None,
                };
                self.engine.answer(&sent.destination, sent.flight, answer);
                moved = true;
            }
            if !moved && self.activation.metrics().outbox_rows == 0 {
                return;
            }
            if !moved {
                self.clock.pass(1);
            }
        }
    }
}

pub(super) fn named(name: &str, segment: &str) -> DestinationConfig {
    let mut config = config(name);
    config.segments = vec![segment.to_owned()];
    config
}

/// Operations of one further change for a destination after `refused` ones became dead letters.
fn operations_after(refused: u64) -> u64 {
    let settings = Settings {
        dead_letters_max: 10,
        ..Settings::default()
    };
    let mut bench = Bench::new(settings, &[named("bad", "buyers")]);
    for _ in 0..refused / 10 {
        bench.hand_in(10);
        bench.run(|_| REFUSED);
    }
    assert_eq!(bench.activation.list()[0].dead_letters, 10);
    bench.least_operations(1, REFUSED)
}

#[test]
fn a_dead_letter_costs_the_same_after_any_number() {
    let few = operations_after(20);
    assert_eq!(operations_after(2_000), few);
}

/// Operations of delivering ten changes through a small memory after `delivered` ones.
fn operations_of_a_refill(delivered: u64) -> u64 {
    let settings = Settings {
        resident_max: 4,
        ..Settings::default()
    };
    let mut bench = Bench::new(settings, &[named("good", "buyers")]);
    for _ in 0..delivered / 10 {
        bench.hand_in(10);
        bench.run(|_| OK);
        bench.clock.pass(10);
    }
    bench.least_operations(10, OK)
}

#[test]
fn a_refill_costs_the_same_after_any_number() {
    let few = operations_of_a_refill(50);
    assert_eq!(operations_of_a_refill(2_000), few);
}

#[test]
fn old_dead_letters_are_dropped_and_counted() {
    let settings = Settings {
        dead_letters_max_age_ms: 60_000,
        ..Settings::default()
    };
    let mut bench = Bench::new(settings, &[named("bad", "buyers")]);
    bench.hand_in(3);
    bench.run(|_| REFUSED);
    bench.clock.pass(50_000);
    bench.hand_in(1);
    bench.run(|_| REFUSED);
    bench.clock.pass(30_000);
    bench.run(|_| REFUSED);
    let metrics = bench.activation.metrics();
    assert_eq!(metrics.destinations[0].dead_aged, 3);
    assert_eq!(metrics.destinations[0].status.dead_letters, 1);
    bench.clock.pass(90_000);
    bench.run(|_| REFUSED);
    assert_eq!(bench.activation.list()[0].dead_letters, 0);
}

#[test]
fn a_row_that_does_not_parse_is_set_aside() {
    let settings = Settings {
        resident_max: 1,
        ..Settings::default()
    };
    let mut bench = Bench::new(settings, &[named("good", "buyers")]);
    bench.hand_in(5);
    let jobs = bench.storage.entries(Space::Jobs);
    assert_eq!(jobs.len(), 5);
    bench.storage.overwrite(Space::Jobs, &jobs[3].0, &[0xff]);
    bench.run(|_| OK);
    let metrics = bench.activation.metrics();
    assert_eq!(metrics.destinations[0].status.delivered, 4);
    assert_eq!(metrics.destinations[0].unreadable, 1);
    let meta = bench.storage.entries(Space::Meta);
    assert!(meta.iter().any(|(_, value)| value == &[0xff]), "kept");
    assert!(!bench.activation.has_failed());
}

#[test]
fn a_change_during_a_closed_outbox_is_in_force_after_it() {
    let mut bench = Bench::new(Settings::default(), &[]);
    bench.activation.close_stepped();
    bench
        .activation
        .set_destinations(&[named("late", "buyers")])
        .unwrap();
    assert!(!bench.activation.wants_nothing(), "a destination may come");
    assert!(bench.activation.hand_in(&[intent(1, 1, 1)], 2).is_err());
    let storage = Arc::new(bench.storage.clone());
    bench.engine = bench.activation.reopen_stepped(storage, 2).unwrap();
    bench.hand_in(1);
    bench.run(|_| OK);
    assert_eq!(bench.activation.list()[0].delivered, 1);
}

#[test]
fn a_step_back_of_the_clock_prolongs_no_pause() {
    let mut bench = Bench::new(Settings::default(), &[named("slow", "buyers")]);
    bench.clock.pass(7_200_000);
    bench.hand_in(1);
    let name = "slow";
    while bench.engine.flights().is_empty() {
        bench.engine.look(name);
        bench.engine.store_step();
    }
    let flight = bench.engine.flights()[0].flight;
    let later = Answer::Status {
        code: 503,
        retry_after_ms: Some(4_500),
    };
    assert!(bench.engine.answer(name, flight, later));
    bench.clock.pass(-7_200_000);
    bench.engine.look(name);
    assert!(bench.engine.flights().is_empty());
    bench.clock.pass(4_499);
    bench.engine.look(name);
    assert!(bench.engine.flights().is_empty(), "not before 4.5 s");
    bench.clock.pass(1);
    bench.engine.look(name);
    assert_eq!(bench.engine.flights().len(), 1);
}

/// Milliseconds until a destination whose breaker opened gets the next request, where the wall clock
/// steps by these amounts after the breaker opened.
fn probed_after(steps_ms: &[i64]) -> i64 {
    const PROBED_WITHIN_MS: i64 = 10_000;
    let mut bench = Bench::new(Settings::default(), &[named("failing", "buyers")]);
    bench.hand_in(20);
    while bench.activation.list()[0].breaker == BreakerState::Closed {
        bench.engine.store_step();
        bench.engine.look("failing");
        for sent in bench.engine.flights() {
            let answer = Answer::Status {
                code: 500,
                retry_after_ms: None,
            };
            bench.engine.answer(&sent.destination, sent.flight, answer);
        }
    }
    let paused = bench.activation.list()[0].breaker;
    assert!(matches!(paused, BreakerState::Open { .. }), "{paused:?}");
    for step_ms in steps_ms {
        bench.clock.pass(*step_ms);
        bench.engine.look("failing");
        bench.engine.store_step();
    }
    for ms in 0..PROBED_WITHIN_MS {
        if !bench.engine.flights().is_empty() {
            return ms;
        }
        bench.clock.pass(1);
        bench.engine.look("failing");
        bench.engine.store_step();
    }
    panic!("no request within {PROBED_WITHIN_MS} ms after steps of {steps_ms:?}");
}

#[test]
fn steps_of_the_wall_clock_hold_no_breaker_open() {
    const HOUR: i64 = 3_600_000;
    let undisturbed = probed_after(&[]);
    assert!(undisturbed > 0);
    for steps in [
        &[-2 * HOUR][..],
        &[-2 * HOUR, 2 * HOUR],
        &[2 * HOUR, -2 * HOUR],
        &[6 * HOUR, -12 * HOUR, 6 * HOUR],
    ] {
        assert!(probed_after(steps) <= undisturbed, "{steps:?}");
    }
}
