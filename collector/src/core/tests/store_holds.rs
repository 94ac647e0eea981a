//! A start compares store and journal: a store that lost something, or is another journal's, is
//! refused.

use super::*;

/// Ends the process in order, and starts it where `change` was done to its directory.
async fn restarted(
    world: &mut World,
    change: impl FnOnce(&std::path::Path),
) -> Result<Core, OpenError> {
    let core = world.core.take().unwrap();
    let end = core.journal().next_offset();
    core.durable(end - 1).await.unwrap();
    core.checkpoint(Extent::All).unwrap();
    core.journal().shutdown();
    drop(core);
    change(world.directory.path());
    world.opened()
}

fn remove(path: std::path::PathBuf) {
    std::fs::remove_dir_all(path).unwrap();
}

#[tokio::test]
async fn a_lost_store_is_refused_at_every_start() {
    let mut world = World::new(5);
    world.hit(&TestHit::page("a", "/")).await;
    let lost = restarted(&mut world, |dir| remove(dir.join("state"))).await;
    assert!(matches!(lost, Err(OpenError::StoreBehind { holds: 0, .. })));
    let still = world.opened().unwrap_err();
    assert!(matches!(still, OpenError::StoreBehind { holds: 0, .. }));
    assert!(
        still
            .to_string()
            .contains("cursors drop checkpoint --force")
    );
}

#[tokio::test]
async fn a_dropped_cursor_goes_on_without_the_store() {
    let mut world = World::new(5);
    world.hit(&TestHit::page("a", "/")).await;
    let before = world.live();
    let opened = restarted(&mut world, |dir| {
        remove(dir.join("state"));
        let journal = dir.join("journal");
        tidegate_journal::drop_saved_cursor(&journal, &RealStorage, "checkpoint").unwrap();
    })
    .await;
    world.core = Some(opened.unwrap());
    assert_eq!(world.live(), before);
}

#[tokio::test]
async fn a_store_of_another_moment_is_refused() {
    let mut world = World::new(5);
    world.hit(&TestHit::page("a", "/")).await;
    let other = restarted(&mut world, |dir| remove(dir.join("journal")))
        .await
        .unwrap_err();
    assert!(matches!(other, OpenError::OtherJournal { .. }), "{other}");
}

#[tokio::test]
async fn a_store_of_an_earlier_backup_is_refused() {
    let mut world = World::new(5);
    world.hit(&TestHit::page("a", "/")).await;
    let backup = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let mut copy = std::process::Command::new("cp");
        let copied = copy.arg("-r").arg(from).arg(to).status();
        assert!(copied.unwrap().success());
    };
    let opened = restarted(&mut world, |dir| copy(&dir.join("state"), backup.path())).await;
    world.core = Some(opened.unwrap());
    world.hit(&TestHit::page("a", "/")).await;
    let behind = restarted(&mut world, |dir| {
        remove(dir.join("state"));
        copy(&backup.path().join("state"), dir);
    })
    .await;
    assert!(matches!(
        behind,
        Err(OpenError::StoreBehind { holds: 1.., .. })
    ));
}
