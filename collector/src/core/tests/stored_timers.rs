//! Timers of profiles that are stored and not in memory.

use super::*;

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
    assert_eq!(world.core().0.profiles.len(), 0);
    world.advance(21 * MINUTE);
    world
}

#[tokio::test]
async fn stored_timers_fire_at_the_rate_of_the_setting() {
    let world = stored_carts(26, 500).await;
    let core = world.core();
    let fired = || core.0.metrics.wake_ups.get();
    while fired() < 500 {
        core.look_ahead().unwrap();
        let now = world.clock.now();
        let overdue_ms = core.gauges(now).timers_overdue_ms;
        assert!(overdue_ms >= 50_000, "{overdue_ms} with {} fired", fired());
        let before = fired();
        core.fire_due(50).await.unwrap();
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
    core.0.profiles.store().unwrap().damage(damaged);
    for _ in 0..4 {
        core.look_ahead().unwrap();
        core.fire_due(50).await.unwrap();
    }
    assert_eq!(core.0.metrics.wake_ups.get(), 99);
    assert_eq!(core.0.metrics.timers_unreadable.get(), 2);
    assert_eq!(core.gauges(world.clock.now()).timers_overdue_ms, 0);
}
