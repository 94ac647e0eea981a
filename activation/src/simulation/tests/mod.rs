//! Seeded lives of the whole crate: random interleavings of hand-ins, steps, looks, answers, time,
//! configuration, dead letters, failing storage and crashes. Nothing may be lost, out of order or
//! stuck. `TIDEGATE_SIM_SEEDS` sets the number of seeds, `TIDEGATE_SIM_FIRST` the first of them.

mod ledger;
mod world;
mod operations;
mod dead_letters;
mod flood;
mod kinds;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Mutant;
use world::World;

const SEEDS: u64 = 300;
const ACTIONS: u32 = 400;

fn seeds() -> std::ops::Range<u64> {
    let asked = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = asked("TIDEGATE_SIM_FIRST").unwrap_or(0);
    first..first + asked("TIDEGATE_SIM_SEEDS").unwrap_or(SEEDS)
}

/// One life and its end.
fn live(seed: u64, mutant: Option<Mutant>) {
    let mut world = World::new(seed, mutant);
    for _ in 0..ACTIONS {
        world.act();
    }
    world.heal();
    world.drain();
    world.check();
}

#[test]
fn simulation_loses_nothing_keeps_order_and_drains() {
    over_all_seeds(|seed| live(seed, None));
}

/// Names the seed that fails.
fn over_all_seeds(life: impl Fn(u64)) {
    for seed in seeds() {
        let lived = catch_unwind(AssertUnwindSafe(|| life(seed)));
        if let Err(panic) = lived {
            eprintln!("failing seed: {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Seeds in which a broken build must be found.
const MUTANT_SEEDS: u64 = 300;

fn is_found(life: impl Fn(u64)) -> bool {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found =
        (0..MUTANT_SEEDS).any(|seed| catch_unwind(AssertUnwindSafe(|| life(seed))).is_err());
    std::panic::set_hook(quiet);
    found
}

#[test]
fn simulation_finds_every_mutant() {
    for mutant in [
        Mutant::CursorFirst,
        Mutant::HandInUnsynced,
        Mutant::RetryForgotten,
        Mutant::HandInUnheard,
        Mutant::ClosedWantsNothing,
        Mutant::ReplacedRowStays,
    ] {
        assert!(
            is_found(|seed| live(seed, Some(mutant))),
            "{mutant:?} was not found"
        );
    }
}
