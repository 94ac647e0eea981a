//! Steps of the wall clock: windows, sessions and wake-ups go on.

use super::*;

async fn fires_and_counts(world: &World, visitor: &str) {
    for _ in 0..3 {
        world.hit(&TestHit::page(visitor, "/")).await;
        world.advance(1_000);
    }
    assert_eq!(segments(world, visitor).await, ["busy"]);
    // Slowed by a sixteenth at most.
    world.advance(34 * MINUTE);
    while world.core().fire_due(10).unwrap() > 0 {}
    assert_eq!(segments(world, visitor).await, Vec::<String>::new());
    let ends = world.core().0.state.metrics.sessions_ended.get();
    assert!(ends > 0, "the session ended");
}

#[tokio::test]
async fn a_wall_clock_that_steps_for_seconds_changes_nothing() {
    let world = World::new(24);
    world.step_wall(120 * MINUTE);
    world.hit(&TestHit::page("before", "/")).await;
    world.advance(5_000);
    assert_eq!(world.clock.lead_ms(), -120 * MINUTE);
    world.step_wall(-120 * MINUTE);
    assert_eq!(world.clock.lead_ms(), 0);
    fires_and_counts(&world, "after").await;
}

#[tokio::test]
async fn windows_work_while_the_wall_clock_is_hours_behind() {
    let mut world = World::new(25);
    world.step_wall(120 * MINUTE);
    world.advance(MINUTE);
    world.advance(5 * MINUTE);
    assert_eq!(world.clock.lead_ms(), 0, "the step lasted");
    world.hit(&TestHit::page("before", "/")).await;
    world.step_wall(-120 * MINUTE);
    fires_and_counts(&world, "after").await;
    // A restart knows the time of the last decision only from the journal.
    let machine = world.clock.machine();
    world.clock = clock_at(machine.wall_ms.load(Ordering::Relaxed));
    world.crash().await;
    let decided_at = world.core().journal().decided_at();
    assert!(world.clock.now() >= decided_at);
    fires_and_counts(&world, "after a restart").await;
    world.assert_state_is_the_fold("after the steps").await;
}
