//! A merge while a segment is disabled.

use super::*;

const SEEN: (&str, &str) = ("seen", "profile.events >= 1");
const NAMED: (&str, &str) = ("named", "profile.identified");

/// Of the newest merge: segment, change, epoch and whether it is the loser's.
async fn merge_transitions(world: &World) -> Vec<(String, Change, u32, bool)> {
    all_durable(world).await;
    let mut found = Vec::new();
    let mut reader = world.core().journal().reader(0).unwrap();
    while let Some(frame) = reader.next_below(u64::MAX).unwrap() {
        let head = RecordView::read(frame.payload).unwrap().head;
        if let Fold::ProfileMerged(merged) = head.fold {
            let of = |t: &TransitionRef<'_>| {
                let theirs = t.profile == Some(merged.loser);
                (t.segment.to_owned(), t.change, t.epoch, theirs)
            };
            found = head.transitions.iter().map(of).collect();
        }
    }
    found
}

async fn put(world: &mut World, enabled: &[(&'static str, &'static str)], gone: &[&'static str]) {
    world.segments = enabled.to_vec();
    world.disabled = gone.to_vec();
    world.apply().await;
}

#[tokio::test]
async fn a_merge_ends_the_losers_disabled_memberships() {
    let mut world = World::new(70);
    put(&mut world, &[NAMED], &[]).await;
    world.hit(&TestHit::identify("phone", "ada")).await;
    put(&mut world, &[SEEN, NAMED], &[]).await;
    world.advance(1_000);
    world.hit(&TestHit::page("laptop", "/")).await;
    put(&mut world, &[NAMED], &["seen"]).await;
    world.hit(&TestHit::identify("laptop", "ada")).await;
    let seen = |change, epoch, theirs| ("seen".to_owned(), change, epoch, theirs);
    assert_eq!(
        merge_transitions(&world).await,
        [seen(Change::Enter, 2, false), seen(Change::Exit, 2, true)]
    );
    assert_eq!(segments(&world, "laptop").await, ["named"]);
    world.assert_state_is_the_fold("while it is disabled").await;
    world.crash().await;
    put(&mut world, &[SEEN, NAMED], &[]).await;
    assert_eq!(segments(&world, "phone").await, ["seen", "named"]);
    world.hit(&TestHit::page("phone", "/")).await;
    assert_eq!(segments(&world, "phone").await, ["seen", "named"]);
    world.assert_state_is_the_fold("enabled again").await;
}
