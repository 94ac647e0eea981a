//! The asynchronous half under seeded schedules: the real core, timers, checkpoint, journal, the
//! loops of the activation and the Kafka cursor, outbox and delivery, without threads and under
//! virtual time.
//!
//! A seed is one random schedule: hits, commits between any two reads of a cursor, steps of every
//! loop, answers of every kind, full disks, failed and reopened stores, changed catalogs, clock
//! steps of hours, kills, power failures and stops. Meanwhile nothing may be lost or come out of
//! order, and no loop may spin. In the end input stops and the sinks accept: then everything must
//! come to rest within a bound. `TIDEGATE_SIM_SEEDS` sets the number of seeds; `TIDEGATE_SIM_SEED`
//! runs one again.

mod traffic;
mod callbacks;
mod delivery;
mod machine;
mod follower;
mod turn;
mod stores;
mod ledger;
mod mutants;
mod life;
mod rest;

use std::ops::Range;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use ledger::{Ledger, Seen};
use life::Life;
use machine::{Machine, Workshop};
use mutants::Mutant;

const SEEDS: u64 = 64;
const LIVES: u32 = 3;
const ACTIONS: u32 = 120;
/// Seeds that share a store; what they deleted would slow later ones down.
const SEEDS_PER_STORE: u64 = 250;

/// One schedule. The error is what did not hold.
fn simulate(workshop: &Workshop, seed: u64, mutant: Option<Mutant>) -> Result<Seen, String> {
    let mut machine = Machine::new(workshop, seed);
    let mut random = SmallRng::seed_from_u64(seed);
    let mut ledger = Ledger::default();
    for _ in 0..random.random_range(1..=LIVES) {
        let actions = random.random_range(ACTIONS / 4..=ACTIONS);
        let mut life = Life::start(&mut machine, &mut ledger, &mut random, mutant)?;
        life.run(actions)?;
        if life.ends_in_order() {
            life.stop()?;
        } else {
            life.break_off();
        }
    }
    let mut life = Life::start(&mut machine, &mut ledger, &mut random, mutant)?;
    life.run(ACTIONS / 4)?;
    if life.has_failed() {
        life.break_off();
        life = Life::start(&mut machine, &mut ledger, &mut random, mutant)?;
    }
    life.rest()?;
    life.stop()?;
    Ok(ledger.seen)
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seeds to run.
fn seeds() -> Range<u64> {
    match asked("TIDEGATE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("TIDEGATE_SIM_SEEDS").unwrap_or(SEEDS),
    }
}

#[test]
fn nothing_is_lost_and_everything_comes_to_rest() {
    let mut seen = Seen::default();
    let mut errors = Vec::new();
    let mut workshop = Workshop::new();
    for seed in seeds() {
        if seed.is_multiple_of(SEEDS_PER_STORE) {
            workshop = Workshop::new();
        }
        match simulate(&workshop, seed, None) {
            Ok(run) => seen.add(run),
            Err(error) => errors.push(format!("seed {seed}: {error}")),
        }
    }
    println!("{seen:?}");
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    let seeds = seeds().end - seeds().start;
    if seeds == 1 {
        return;
    }
    assert!(seen.records > 20 * seeds, "it must get somewhere: {seen:?}");
    assert!(
        seen.changes > 2 * seeds && seen.timers > 2 * seeds && seen.unreadable > seeds / 2,
        "{seen:?}"
    );
    let identities = [seen.merges, seen.aliases, seen.anonymous, seen.shared];
    let seldom = identities.into_iter().chain([seen.of_servers]).min();
    assert!(seldom > Some(seeds / 4), "{seen:?}");
}

#[test]
fn every_mutant_is_found() {
    /// Seeds within which one is found.
    const WITHIN: u64 = 100;
    let workshop = Workshop::new();
    for mutant in Mutant::ALL {
        let found = (0..WITHIN).find_map(|seed| {
            let error = simulate(&workshop, seed, Some(mutant)).err()?;
            Some((seed, error))
        });
        let (seed, error) = found.unwrap_or_else(|| panic!("{mutant:?} was not found"));
        println!("{mutant:?} in seed {seed}: {error}");
    }
}

#[test]
fn a_seed_always_gives_the_same_run() {
    let workshop = Workshop::new();
    let run = || simulate(&workshop, 7, None).unwrap();
    let (one, other) = (run(), run());
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}
