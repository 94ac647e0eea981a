//! A start on what does not parse: one record or one row stops nothing else.

use tidegate_event::record::PAYLOAD_VERSION;

use super::*;
use crate::unreadable::DIR;

/// Journals bytes as an erring build may.
async fn write(world: &World, payload: &[u8]) {
    let mut room = world.core().journal().reserve(64, 1).unwrap();
    let ticket = room.ticket(world.clock.now());
    let offset = ticket.offset();
    ticket.fill(payload.to_vec());
    world.core().durable(offset).await.unwrap();
}

#[tokio::test]
async fn a_replay_passes_over_an_unreadable_record() {
    let mut world = World::new(5);
    world.hit(&TestHit::page("a", "/")).await;
    write(&world, b"\x02no record").await;
    world.hit(&TestHit::page("b", "/")).await;
    let before = world.live();
    world.crash().await;
    assert_eq!(world.live(), before);
    let kept = std::fs::read_dir(world.directory.path().join(DIR)).unwrap();
    assert_eq!(kept.count(), 1);
}

#[tokio::test]
async fn a_replay_refuses_a_record_of_a_newer_format() {
    let mut world = World::new(5);
    write(&world, &[PAYLOAD_VERSION + 1, 1, 2]).await;
    let core = world.core.take().unwrap();
    core.journal().shutdown();
    drop(core);
    let refused = world.opened().unwrap_err().to_string();
    assert!(refused.contains("newer than this build reads"), "{refused}");
    assert!(!world.directory.path().join(DIR).exists());
}

#[tokio::test]
async fn a_replay_leaves_out_an_unreadable_profile() {
    let mut world = World::new(5);
    world.hit(&TestHit::page("a", "/")).await;
    world.core().checkpoint(Extent::All).unwrap();
    let (damaged, _) = world.live().into_iter().next().unwrap();
    world.hit(&TestHit::page("a", "/")).await;
    world.hit(&TestHit::page("b", "/")).await;
    let before = world.live();
    world
        .core()
        .0
        .state
        .profiles
        .store()
        .unwrap()
        .damage(damaged);
    world.crash().await;
    assert!(world.core().0.state.metrics.store_errors.get() > 0);
    assert!(world.core().0.state.profiles.in_memory(damaged).is_none());
    let (other, profile) = before.into_iter().find(|(id, _)| *id != damaged).unwrap();
    let found = world.core().0.state.profiles.get(other).unwrap().unwrap();
    assert_eq!(found.lock().profile, profile);
}
