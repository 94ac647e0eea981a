//! Several open sessions of one person: `session.*` is about the newest.

use super::*;

const VIEWS: (&str, &str) = ("views", "session.page_views >= 2");

async fn world_of(seed: u64, segments: &[(&'static str, &'static str)]) -> World {
    let mut world = World::new(seed);
    world.segments = segments.to_vec();
    world.apply().await;
    world
}

/// An event of `ago` minutes before now.
fn late(hit: TestHit, ago: i64) -> TestHit {
    TestHit {
        late_ms: ago * MINUTE,
        ..hit
    }
}

#[tokio::test]
async fn an_event_of_an_older_session_leaves_the_newest_alone() {
    let world = world_of(50, &[VIEWS]).await;
    for _ in 0..2 {
        world.hit(&TestHit::page("a", "/")).await;
    }
    world.hit(&late(TestHit::page("a", "/"), 50)).await;
    assert_eq!(segments(&world, "a").await, ["views"]);
    fire_all(&world);
    let ended = world.live().into_values().next().unwrap();
    assert_eq!(ended.sessions.iter().filter(|s| s.ended).count(), 1);
    assert_eq!(
        segments(&world, "a").await,
        ["views"],
        "the older one ended"
    );
    world.advance(31 * MINUTE);
    fire_all(&world);
    assert!(segments(&world, "a").await.is_empty());
    world
        .assert_state_is_the_fold("with an older session")
        .await;
}

#[tokio::test]
async fn the_end_of_one_device_leaves_the_other_alone() {
    let world = world_of(51, &[VIEWS]).await;
    world.hit(&TestHit::identify("phone", "ada")).await;
    world.hit(&TestHit::identify("laptop", "ada")).await;
    world.advance(20 * MINUTE);
    for _ in 0..2 {
        world.hit(&TestHit::page("laptop", "/")).await;
    }
    world.advance(11 * MINUTE);
    fire_all(&world);
    assert_eq!(segments(&world, "laptop").await, ["views"]);
    world.advance(20 * MINUTE);
    fire_all(&world);
    assert!(segments(&world, "laptop").await.is_empty());
}

#[tokio::test]
async fn an_overdue_session_ends_before_the_next_opens() {
    let again = ("again", "session.index >= 2");
    let pricing = SEGMENTS[0];
    let world = world_of(52, &[pricing, again]).await;
    for _ in 0..2 {
        world.hit(&TestHit::page("a", "/pricing")).await;
    }
    assert_eq!(segments(&world, "a").await, ["pricing"]);
    world.advance(31 * MINUTE);
    // No timer has fired yet, as after a restart.
    world.hit(&TestHit::track("a", "Cart")).await;
    assert_eq!(segments(&world, "a").await, ["again"]);
    fire_all(&world);
    assert_eq!(segments(&world, "a").await, ["again"]);
    world.assert_state_is_the_fold("after late timers").await;
}
