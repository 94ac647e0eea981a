//! What is bounded: profiles in memory, rows that wait, merges, new profiles of one sender.

use tidegate_event::record::Namespace;

use super::*;
use crate::profile::store::StoreError;

#[tokio::test]
async fn above_live_max_and_slack_new_profiles_are_refused() {
    let mut world = World::new(20);
    world.live_max = 0;
    world.crash().await;
    let visitor = |number: usize| TestHit::page(&format!("device-{number}"), "/");
    let bound = world.core().0.state.profiles.room().bound();
    for number in 0..bound {
        world.hit(&visitor(number)).await;
    }
    let before = world.core().journal().next_offset();
    let one_more = visitor(bound);
    let refused = world
        .core()
        .accept(&source(), &one_more.enriched(world.clock.now()), &Unlimited)
        .await
        .unwrap_err();
    assert_eq!(refused, Refused::ProfilesFull { retry_after_s: 2 });
    assert_eq!(world.core().journal().next_offset(), before);
    assert_eq!(world.core().0.state.profiles.len(), bound);
    assert_eq!(world.core().0.state.metrics.profiles_refused.get(), 1);
    world.hit(&visitor(0)).await;
    all_durable(&world).await;
    world.core().checkpoint(Extent::Due).unwrap();
    assert_eq!(
        world.core().0.state.profiles.len(),
        0,
        "one pass lets them all go"
    );
    world.hit(&one_more).await;
    world.hit(&visitor(1)).await;
    world.assert_state_is_the_fold("after evictions").await;
    world.crash().await;
    world.assert_state_is_the_fold("after a restart").await;
}

#[tokio::test]
async fn a_sender_over_its_new_profiles_is_refused_and_known_visitors_are_not() {
    struct Nobody;
    impl Newcomers for Nobody {
        fn take(&self) -> Result<(), u32> {
            Err(7)
        }
    }
    let world = World::new(30);
    world.hit(&TestHit::page("known", "/")).await;
    let before = world.core().journal().next_offset();
    let accept = async |who: &str| {
        let hit = TestHit::identify(who, &format!("{who}-user"));
        let enriched = hit.enriched(world.clock.now());
        world.core().accept(&source(), &enriched, &Nobody).await
    };
    let refused = accept("new").await.unwrap_err();
    assert_eq!(refused, Refused::NewProfiles { retry_after_s: 7 });
    assert_eq!(world.core().journal().next_offset(), before);
    assert_eq!(world.core().0.state.profiles.len(), 1);
    accept("known").await.unwrap();
    world.hit(&TestHit::page("new", "/")).await;
    world.assert_state_is_the_fold("after a refusal").await;
}

#[tokio::test]
async fn a_replay_keeps_to_live_max() {
    let mut world = World::new(21);
    let visitors = 3_000;
    world.live_max = visitors;
    world.crash().await;
    for number in 0..visitors {
        world
            .hit(&TestHit::page(&format!("device-{number}"), "/"))
            .await;
    }
    world.live_max = 10;
    world.crash().await;
    let (live, bound) = (
        world.core().0.state.profiles.len(),
        world.core().0.state.profiles.room().bound(),
    );
    assert!(live < bound, "{live} in memory");
    world.assert_state_is_the_fold("after the replay").await;
}

#[tokio::test]
async fn a_hot_profile_does_not_hold_the_checkpoint() {
    let mut world = World::new(22);
    world.lag_records = 0;
    world.crash().await;
    let core = world.core().clone();
    let mut reached = Vec::new();
    for round in 0..8 {
        // An event that is not durable yet stands at the profile whenever a pass looks.
        world.hit(&TestHit::page("hot", "/")).await;
        let pending = world.hit(&TestHit::page("hot", "/pricing")).await;
        core.checkpoint(Extent::Due).unwrap();
        core.durable(pending.offset).await.unwrap();
        world.hit(&TestHit::page("hot", "/")).await;
        core.checkpoint(Extent::Due).unwrap();
        let position = core.gauges(world.clock.now()).checkpoint_offset;
        reached.push(position);
        // A row that is held at the end of one round is written by the end of the next.
        assert!(
            round < 2 || position > reached[round - 2],
            "{reached:?} after round {round}"
        );
    }
    drop(core);
    world.crash().await;
    world.assert_state_is_the_fold("after a restart").await;
}

#[tokio::test]
async fn one_merge_an_hour_is_one_merge_an_hour() {
    let mut world = World::new(23);
    world.merges_per_hour_max = 1;
    world.crash().await;
    let merged = |world: &World| {
        let profiles = world.live();
        profiles.values().filter(|p| p.alias_of.is_some()).count()
    };
    for device in ["a", "b", "c"] {
        world.hit(&TestHit::page(device, "/")).await;
    }
    world.hit(&TestHit::identify("phone", "ada")).await;
    for device in ["a", "b", "c"] {
        world.hit(&TestHit::identify(device, "ada")).await;
    }
    assert_eq!(merged(&world), 1);
    world.advance(59 * MINUTE);
    world.hit(&TestHit::identify("b", "ada")).await;
    assert_eq!(merged(&world), 1, "59 minutes later it is the same hour");
    world.advance(MINUTE);
    world.hit(&TestHit::identify("b", "ada")).await;
    assert_eq!(merged(&world), 2);
    world.assert_state_is_the_fold("after the merges").await;
}

#[tokio::test]
async fn sixteen_lost_races_are_an_honest_refusal() {
    let world = World::new(31);
    for device in ["a", "b"] {
        world.hit(&TestHit::page(device, "/")).await;
    }
    let core = world.core();
    let profiles = &core.0.state.profiles;
    let of = |device| {
        let key = profiles.key(Namespace::AnonymousId, device);
        profiles.indexed(key).unwrap()
    };
    // As if each look came in the middle of a merge: the index still names the loser.
    let (loser, winner) = (of("a"), of("b"));
    let shared = profiles.in_memory(loser).unwrap();
    shared.lock().profile.alias_of = Some(Box::new(winner));
    let before = core.journal().next_offset();
    let hit = TestHit::page("a", "/");
    let enriched = hit.enriched(world.clock.now());
    let refused = core.accept(&source(), &enriched, &Unlimited).await;
    assert_eq!(refused, Err(Refused::Contended { retry_after_s: 1 }));
    assert_eq!(core.journal().next_offset(), before, "nothing was touched");
    let metrics = &core.0.state.metrics;
    let counted = (metrics.profiles_contended.get(), metrics.store_errors.get());
    assert_eq!(counted, (1, 0));
    let cause = StoreError::Contended { tries: 16 };
    assert!(!cause.is_of_one_row());
    assert!(cause.to_string().contains("16 times in turn"), "{cause}");
}
