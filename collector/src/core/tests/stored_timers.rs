//! Timers of profiles that are stored and not in memory.

use std::sync::atomic::AtomicU32;

use super::*;
use crate::background::{CatchUp, Machine, Next};
use crate::core::CatchUpPage;

/// Carts of so many visitors, stored and not in memory, due now.
async fn stored_carts(seed: u64, visitors: usize) -> World {
    let mut world = World::new(seed);
    world.lag_records = 0;
    world.crash().await;
    for number in 0..visitors {
        let cart = TestHit::track(&format!("device-{number}"), "Cart");
        world.hit(&cart).await;
    }
    all_durable(&world).await;
    world.core().checkpoint(Extent::All).unwrap();
    world.crash().await;
    assert_eq!(world.core().0.state.profiles.len(), 0);
    world.advance(21 * MINUTE);
    world
}

#[tokio::test]
async fn stored_timers_fire_at_the_rate_of_the_setting() {
    let world = stored_carts(26, 500).await;
    let core = world.core();
    let fired = || core.0.state.metrics.wake_ups.get();
    while fired() < 500 {
        core.look_ahead().unwrap();
        let now = world.clock.now();
        let overdue_ms = core.gauges(now).timers_overdue_ms;
        assert!(overdue_ms >= 50_000, "{overdue_ms} with {} fired", fired());
        let before = fired();
        core.fire_due(50).unwrap();
        assert_eq!(fired() - before, 50, "every call fires all that it may");
    }
    assert_eq!(core.gauges(world.clock.now()).timers_overdue_ms, 0);
    assert_eq!(segments(&world, "device-499").await, ["abandoned"]);
}

#[tokio::test]
async fn an_unreadable_row_stops_no_other_timer() {
    let world = stored_carts(27, 100).await;
    let core = world.core();
    let (damaged, _) = world.live().into_iter().next().unwrap();
    core.0.state.profiles.store().unwrap().damage(damaged);
    for _ in 0..4 {
        core.look_ahead().unwrap();
        core.fire_due(50).unwrap();
    }
    assert_eq!(core.0.state.metrics.wake_ups.get(), 99);
    assert_eq!(core.0.state.metrics.timers_unreadable.get(), 2);
    assert_eq!(core.gauges(world.clock.now()).timers_overdue_ms, 0);
}

#[tokio::test]
async fn a_damaged_block_stops_no_other_timer() {
    let world = stored_carts(35, 100).await;
    let core = world.core();
    let damaged: Vec<_> = world.live().into_keys().take(2).collect();
    let failing = Arc::clone(&core.0.state.profiles.store().unwrap().failing);
    failing.lock().extend(damaged);
    for _ in 0..4 {
        core.look_ahead().unwrap();
        core.fire_due(50).unwrap();
    }
    assert_eq!(core.0.state.metrics.wake_ups.get(), 98);
    failing.lock().clear();
    world.advance(11_000);
    core.fire_due(50).unwrap();
    assert_eq!(
        core.0.state.metrics.wake_ups.get(),
        100,
        "tried again later"
    );
}

#[tokio::test]
async fn a_disk_that_reads_nothing_loses_no_timer() {
    let world = stored_carts(36, 20).await;
    let core = world.core();
    let failing = Arc::clone(&core.0.state.profiles.store().unwrap().failing);
    failing.lock().extend(world.live().into_keys());
    core.look_ahead().unwrap();
    for _ in 0..3 {
        let refused = core.fire_due(50);
        assert!(
            matches!(refused, Err(Refused::StoreClosed { .. })),
            "{refused:?}"
        );
    }
    failing.lock().clear();
    core.fire_due(50).unwrap();
    world.advance(11_000);
    core.fire_due(50).unwrap();
    assert_eq!(core.0.state.metrics.wake_ups.get(), 20);
}

/// A further catalog, in which time alone can turn a segment of stored visitors.
async fn with_silent_visitors(seed: u64, visitors: usize) -> World {
    let mut world = stored_carts(seed, visitors).await;
    let silent = ("silent", r#"now - profile.last_seen > duration("1m")"#);
    world.segments.push(silent);
    world.apply().await;
    world
}

fn catch_up(world: &World) -> CatchUp {
    CatchUp::new(world.core().clone(), Arc::new(AtomicU32::new(20_000)))
}

/// Steps until it waits for another catalog. What it writes becomes durable between the steps.
async fn run(world: &World, machine: &mut CatchUp) {
    for _ in 0..40 {
        if machine.step() == Next::Catalog {
            return;
        }
        all_durable(world).await;
    }
    panic!("40 steps, and it does not wait for another catalog");
}

#[tokio::test]
async fn an_unreadable_row_stops_no_catch_up() {
    let world = with_silent_visitors(28, 5).await;
    let core = world.core();
    let (damaged, _) = world.live().into_iter().next().unwrap();
    core.0.state.profiles.store().unwrap().damage(damaged);
    let mut machine = catch_up(&world);
    run(&world, &mut machine).await;
    assert_eq!(core.0.state.metrics.wake_ups.get(), 4);
}

#[tokio::test]
async fn a_note_that_does_not_parse_stops_no_catch_up() {
    let mut world = with_silent_visitors(32, 5).await;
    world
        .core()
        .0
        .state
        .profiles
        .store()
        .unwrap()
        .damage_catch_up();
    world.crash().await;
    let mut machine = catch_up(&world);
    run(&world, &mut machine).await;
    assert_eq!(segments(&world, "device-4").await, ["abandoned", "silent"]);
}

#[tokio::test]
async fn a_closed_store_makes_a_catch_up_wait() {
    let world = with_silent_visitors(33, 5).await;
    let core = world.core();
    // One a step.
    let mut machine = CatchUp::new(core.clone(), Arc::new(AtomicU32::new(20)));
    let evaluated = || core.0.state.metrics.wake_ups.get();
    while evaluated() == 0 {
        machine.step();
        all_durable(&world).await;
    }
    let database = core.0.state.profiles.store().unwrap().database();
    core.exchange_store(None).unwrap();
    for _ in 0..5 {
        assert_eq!(machine.step(), Next::Pause(1_000));
    }
    core.exchange_store(Some(database)).unwrap();
    run(&world, &mut machine).await;
    assert_eq!(evaluated(), 5);
    assert_eq!(core.unevaluated().unwrap(), None);
}

#[tokio::test]
async fn another_catalog_ends_the_wait_of_a_catch_up() {
    let mut world = with_silent_visitors(34, 2).await;
    let mut machine = catch_up(&world);
    run(&world, &mut machine).await;
    world.segments.pop();
    world.apply().await;
    Next::Catalog.event(world.core()).await;
    assert_ne!(machine.step(), Next::Again);
}

#[tokio::test]
async fn a_page_is_noted_once_its_records_are_durable() {
    let world = with_silent_visitors(37, 5).await;
    let core = world.core();
    let noted = || {
        core.0
            .state
            .profiles
            .store()
            .unwrap()
            .catch_up_note()
            .unwrap()
    };
    let mut changed = Vec::new();
    while changed.is_empty() {
        changed = core.catch_up(10).unwrap().changed;
    }
    // An offset that is taken and not filled holds back what comes behind it.
    let mut space = core.journal().reserve(1_000, 1).unwrap();
    let ticket = space.ticket(world.clock.now());
    for id in changed {
        core.evaluate_now(id).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(core.catch_up(10).unwrap(), CatchUpPage::default());
        assert_eq!(noted().after, None);
    }
    drop(ticket);
    core.durable(core.journal().next_offset() - 1)
        .await
        .unwrap();
    core.catch_up(10).unwrap();
    assert!(noted().after.is_some());
}

#[tokio::test]
async fn segments_that_came_back_are_evaluated_anew() {
    let mut world = with_silent_visitors(38, 3).await;
    let mut machine = catch_up(&world);
    run(&world, &mut machine).await;
    let silent = world.segments.pop().unwrap();
    world.apply().await;
    // Decided by the catalog in between, whose wake-ups are others.
    world.hit(&TestHit::page("device-1", "/")).await;
    world.segments.push(silent);
    world.apply().await;
    run(&world, &mut machine).await;
    assert_eq!(world.core().unevaluated().unwrap(), None);
}
