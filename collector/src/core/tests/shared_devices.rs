//! One device and two people: sessions are the device's.

use super::*;

/// Events of the journal with their profile's user and their session's index.
async fn told(world: &World) -> Vec<(String, Option<String>, Option<u32>)> {
    all_durable(world).await;
    let mut told = Vec::new();
    let mut reader = world.core().journal().reader(0).unwrap();
    while let Some(frame) = reader.next_below(u64::MAX).unwrap() {
        let head = RecordView::read(frame.payload).unwrap().head;
        let session = match &head.fold {
            Fold::Event(event) => event.session,
            Fold::SessionStart(session) => Some(*session),
            Fold::SessionEnd(end) => Some(end.session),
            _ => None,
        };
        let event = if head.event.is_empty() {
            head.kind
        } else {
            head.event
        };
        told.push((
            event.to_owned(),
            head.user_id.map(str::to_owned),
            session.map(|session| session.index),
        ));
    }
    told
}

async fn two_people(world: &World) {
    for user in ["ada", "bob"] {
        world.hit(&TestHit::identify("shared", user)).await;
        world.advance(20 * MINUTE);
        let page = TestHit {
            user_id: Some(user.to_owned()),
            ..TestHit::page("shared", "/pricing")
        };
        world.hit(&page).await;
        world.advance(20 * MINUTE);
    }
}

#[tokio::test]
async fn two_people_on_one_device_are_one_session() {
    let mut world = World::new(40);
    two_people(&world).await;
    world.hit(&TestHit::page("shared", "/")).await;
    world.advance(31 * MINUTE);
    while world.core().fire_due(10).unwrap() > 0 {}
    let told = told(&world).await;
    let of = |event: &str| told.iter().filter(|(name, ..)| name == event).count();
    assert_eq!((of("session_start"), of("session_end")), (1, 1), "{told:?}");
    let events = told.iter().filter(|(_, _, index)| index.is_some());
    assert!(events.clone().count() >= 7, "{told:?}");
    assert!(events.clone().all(|(_, _, index)| *index == Some(1)));
    let owner = told.iter().find(|(name, ..)| name == "session_continued");
    assert_eq!(owner.unwrap().1.as_deref(), Some("ada"));
    world.assert_state_is_the_fold("with a shared device").await;
    world.crash().await;
    world.assert_state_is_the_fold("after a restart").await;
}

#[tokio::test]
async fn who_used_anothers_device_leaves_its_segments_with_the_session() {
    let world = World::new(41);
    two_people(&world).await;
    let members = async || {
        let found = world.core().segments(Lookup::User("bob")).await.unwrap();
        found.segments.iter().any(|name| &**name == "pricing")
    };
    assert!(members().await, "two views in the session, one of them his");
    world.advance(31 * MINUTE);
    while world.core().fire_due(10).unwrap() > 0 {}
    assert!(!members().await);
    world.assert_state_is_the_fold("after the session").await;
}

/// Ada's device, on which Bob is signed in, in a world with one segment of the session.
async fn bob_as_guest(seed: u64) -> World {
    let mut world = World::new(seed);
    world.segments = vec![
        ("views", "session.page_views >= 2"),
        ("clicked", r#"count(event.name == "Click", "5m") >= 1"#),
    ];
    world.apply().await;
    world
}

async fn views(world: &World, path: &'static str) {
    for _ in 0..2 {
        world
            .hit(&TestHit::page("shared", path).of_user("bob"))
            .await;
    }
}

#[tokio::test]
async fn a_wake_up_does_not_end_the_session_on_anothers_device() {
    let mut world = bob_as_guest(42).await;
    world.hit(&TestHit::identify("shared", "ada")).await;
    views(&world, "/").await;
    world
        .hit(&TestHit::track("shared", "Click").of_user("bob"))
        .await;
    assert_eq!(segments_of_user(&world, "bob").await, ["views", "clicked"]);
    world.advance(6 * MINUTE);
    fire_all(&world);
    assert_eq!(segments_of_user(&world, "bob").await, ["views"]);
    world
        .assert_state_is_the_fold("while the session runs")
        .await;
    world.core().checkpoint(Extent::All).unwrap();
    world.crash().await;
    world.advance(23 * MINUTE);
    world.core().look_ahead().unwrap();
    fire_all(&world);
    assert_eq!(segments_of_user(&world, "bob").await, ["views"]);
    world.advance(2 * MINUTE);
    world.core().look_ahead().unwrap();
    fire_all(&world);
    assert!(segments_of_user(&world, "bob").await.is_empty());
    assert!(world.live().values().all(|profile| profile.guest.is_none()));
    world.assert_state_is_the_fold("after the session").await;
}

#[tokio::test]
async fn a_guest_leaves_also_after_a_session_of_their_own() {
    let world = bob_as_guest(43).await;
    world.hit(&TestHit::page("own", "/").of_user("bob")).await;
    world.advance(31 * MINUTE);
    fire_all(&world);
    world.hit(&TestHit::identify("shared", "ada")).await;
    views(&world, "/").await;
    assert_eq!(segments_of_user(&world, "bob").await, ["views"]);
    world.advance(31 * MINUTE);
    fire_all(&world);
    assert!(segments_of_user(&world, "bob").await.is_empty());
    world.assert_state_is_the_fold("after both sessions").await;
}

#[tokio::test]
async fn a_guests_part_ends_with_their_own_silence() {
    let world = bob_as_guest(44).await;
    world.hit(&TestHit::identify("shared", "ada")).await;
    views(&world, "/").await;
    world.advance(20 * MINUTE);
    world
        .hit(&TestHit::page("shared", "/").of_user("ada"))
        .await;
    world.advance(11 * MINUTE);
    fire_all(&world);
    assert!(segments_of_user(&world, "bob").await.is_empty());
    assert_eq!(segments_of_user(&world, "ada").await, ["views"]);
    let told = told(&world).await;
    assert!(told.iter().all(|(event, ..)| event != "session_end"));
}
