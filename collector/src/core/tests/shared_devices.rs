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
