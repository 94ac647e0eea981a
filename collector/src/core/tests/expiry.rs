//! Stored profiles go by age and by size, and do not come back.

use super::*;

const DAY: i64 = 86_400_000;

/// So many visitors, one a minute, all stored.
async fn stored_visitors(seed: u64, visitors: usize, disk_max: u64) -> World {
    let mut world = World::new(seed);
    world.lag_records = 0;
    world.disk_max = disk_max;
    world.crash().await;
    for number in 0..visitors {
        let who = TestHit::identify(&format!("device-{number}"), &format!("user-{number}"));
        world.hit(&who).await;
        world.advance(MINUTE);
    }
    all_durable(&world).await;
    world.core().checkpoint(Extent::All).unwrap();
    world
}

fn pass(world: &World) {
    world.advance(1_000);
    world.core().checkpoint(Extent::Due).unwrap();
}

#[tokio::test]
async fn a_profile_goes_after_the_retention_and_does_not_come_back() {
    let mut world = stored_visitors(28, 20, 1 << 30).await;
    world.advance(20 * DAY);
    world.hit(&TestHit::page("device-7", "/")).await;
    all_durable(&world).await;
    world.core().checkpoint(Extent::All).unwrap();
    world.advance(11 * DAY);
    while world.core().fire_due(100).unwrap() > 0 {}
    all_durable(&world).await;
    pass(&world);
    pass(&world);
    let core = world.core();
    assert_eq!(core.0.state.metrics.expired_retention.get(), 19);
    let left = world.live().into_values();
    let left: Vec<_> = left
        .map(|profile| profile.user_id().unwrap().into_owned())
        .collect();
    assert_eq!(left, ["user-7"]);
    let [rows, identifiers, due] = core.0.state.profiles.store().unwrap().lengths();
    assert_eq!((rows, identifiers, due <= 1), (1, 2, true));
    let stored = core.gauges(world.clock.now()).profiles_stored;
    assert_eq!(stored.profiles, 1);
    // What a replay would bring back is not what was removed.
    world.crash().await;
    assert_eq!(world.live().len(), 1);
    world.hit(&TestHit::identify("device-3", "user-3")).await;
    let again = world.core().segments(Lookup::User("user-3")).await.unwrap();
    assert_eq!(again.segments.len(), 1, "it begins anew, named");
}

#[tokio::test]
async fn above_disk_max_the_oldest_profiles_go() {
    let world = stored_visitors(29, 200, 1 << 30).await;
    pass(&world);
    let bytes = world.core().gauges(world.clock.now()).profiles_stored.bytes;
    assert!(bytes > 200 * 100, "{bytes}");
    let disk_max = bytes / 2;
    let world = stored_visitors(29, 200, disk_max).await;
    for _ in 0..10 {
        pass(&world);
    }
    let core = world.core();
    let stored = core.gauges(world.clock.now()).profiles_stored;
    assert!(stored.bytes <= disk_max, "{stored:?}");
    assert!(
        stored.bytes > disk_max * 8 / 10,
        "no more than a tenth: {stored:?}"
    );
    let left = world.live();
    assert_eq!(left.len() as u64, stored.profiles);
    assert_eq!(
        core.0.state.metrics.expired_disk.get() + stored.profiles,
        200
    );
    // Oldest first, as exactly as ten minutes.
    let oldest_left = left
        .values()
        .map(|profile| profile.last_seen)
        .min()
        .unwrap();
    let newest_gone = world.reference().await.into_values();
    let newest_gone = newest_gone.filter(|profile| !left.contains_key(&profile.id));
    let newest_gone = newest_gone.map(|profile| profile.last_seen).max().unwrap();
    assert!(newest_gone.since(oldest_left) <= 10 * MINUTE);
}
