//! Five devices a week are tied to one person; a further one is a visitor of its own.

use super::*;

/// Records named `session_start`, with the index of the session.
async fn started(world: &World, device: &str) -> Vec<u32> {
    all_durable(world).await;
    let mut started = Vec::new();
    let mut reader = world.core().journal().reader(0).unwrap();
    while let Some(frame) = reader.next_below(u64::MAX).unwrap() {
        let head = RecordView::read(frame.payload).unwrap().head;
        let session = match head.fold {
            Fold::SessionStart(session) => session,
            Fold::DeviceStart(start) => start.session,
            _ => continue,
        };
        if head.anonymous_id == Some(device) {
            assert_eq!(head.event, "session_start");
            started.push(session.index);
        }
    }
    started
}

async fn five_devices(seed: u64) -> World {
    let world = World::new(seed);
    for number in 0..5 {
        world
            .hit(&TestHit::identify(&format!("device-{number}"), "ada"))
            .await;
    }
    world
}

#[tokio::test]
async fn a_sixth_device_has_one_session() {
    let mut world = five_devices(60).await;
    world.hit(&TestHit::identify("sixth", "ada")).await;
    world.hit(&TestHit::page("sixth", "/")).await;
    world.crash().await;
    world.hit(&TestHit::identify("sixth", "ada")).await;
    world.hit(&TestHit::page("sixth", "/")).await;
    assert_eq!(started(&world, "sixth").await, [1]);
    let profiles = world.live();
    assert_eq!(profiles.len(), 2);
    let device = profiles
        .values()
        .find(|profile| profile.user_id().is_none());
    let device = device.unwrap();
    assert_eq!(device.anonymous_id().as_deref(), Some("sixth"));
    assert_eq!((device.sessions[0].events, device.events), (4, 2));
    world.assert_state_is_the_fold("with a sixth device").await;
    all_durable(&world).await;
    world.core().checkpoint(Extent::All).unwrap();
    world.crash().await;
    world.hit(&TestHit::page("sixth", "/")).await;
    assert_eq!(started(&world, "sixth").await, [1], "found in the store");
    world.assert_state_is_the_fold("after a restart").await;
}

#[tokio::test]
async fn a_sixth_device_joins_after_the_week() {
    let world = five_devices(61).await;
    world.hit(&TestHit::identify("sixth", "ada")).await;
    world.advance(8 * 1_440 * MINUTE);
    world.hit(&TestHit::identify("sixth", "ada")).await;
    let merged = world.live().into_values();
    assert_eq!(
        merged.filter(|profile| profile.alias_of.is_none()).count(),
        1
    );
    world.assert_state_is_the_fold("after the week").await;
}

#[tokio::test]
async fn a_late_or_refused_sixth_device_makes_no_profile() {
    struct Full;
    impl Newcomers for Full {
        fn take(&self) -> Result<(), u32> {
            Err(7)
        }
    }
    let world = five_devices(62).await;
    let hit = TestHit::identify("sixth", "ada");
    let late = TestHit {
        late_ms: 61 * MINUTE,
        ..hit.clone()
    };
    world.hit(&late).await;
    let before = world.core().journal().next_offset();
    let enriched = hit.enriched(world.clock.now());
    let refused = world.core().accept(&source(), &enriched, &Full).await;
    assert_eq!(refused, Err(Refused::NewProfiles { retry_after_s: 7 }));
    assert_eq!(world.core().journal().next_offset(), before);
    assert_eq!(world.core().0.state.profiles.len(), 1);
    world.hit(&hit).await;
    assert_eq!(
        started(&world, "sixth").await,
        [1],
        "nothing was left behind"
    );
}

/// No event is the device's own: all of them are the person's.
#[tokio::test]
async fn a_sweep_keeps_a_device_with_a_session() {
    let mut world = five_devices(62).await;
    world.hit(&TestHit::identify("sixth", "ada")).await;
    all_durable(&world).await;
    world.core().checkpoint(Extent::All).unwrap();
    world.crash().await;
    for _ in 0..3 {
        world.advance(2_000);
        world.core().checkpoint(Extent::Due).unwrap();
    }
    assert_eq!(world.core().0.state.metrics.expired_retention.get(), 0);
    world.hit(&TestHit::page("sixth", "/")).await;
    assert_eq!(started(&world, "sixth").await, [1]);
}
