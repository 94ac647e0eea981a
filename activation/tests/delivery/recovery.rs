//! Crash and restart: nothing is lost, ids stay, what was handed in twice is taken once.

use std::time::Duration;

use tidegate_activation::{BreakerState, DestinationConfig};
use tokio::runtime::Runtime;

use crate::harness::{Receiver, Reply, change, eventually, hand_in, open, quick, settings};

/// A life that ends as a killed process does: everything stops where it is.
fn life(path: &std::path::Path, act: impl AsyncFnOnce(&tidegate_activation::Activation)) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let activation = open(path, settings());
        act(&activation).await;
    });
    drop(runtime);
    // The store thread ends by itself once its last sender is gone, and frees the lock then.
    let opened = (0..2_000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        fjall::Database::builder(path).open().is_ok()
    });
    assert!(opened, "the database stays locked");
}

#[test]
fn a_crash_loses_nothing_and_repeats_the_same_ids() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Runtime::new().unwrap();
    let receiver = serving.block_on(Receiver::start());
    receiver.always(Reply::Hang);
    life(directory.path(), async |activation| {
        activation
            .set_destinations(&[quick("ads", &receiver)])
            .unwrap();
        let batch: Vec<_> = (1..=100).map(|n| change(n.into(), 1, n)).collect();
        hand_in(activation, &batch);
        receiver.until_received(64).await;
    });
    let before = receiver.received();
    receiver.always(Reply::Status(200));
    life(directory.path(), async |activation| {
        assert_eq!(activation.cursor(), 101);
        assert_eq!(activation.metrics().outbox_rows, 100);
        activation
            .set_destinations(&[quick("ads", &receiver)])
            .unwrap();
        eventually("all delivered", || activation.metrics().outbox_rows == 0).await;
    });
    let after = receiver.received().split_off(before.len());
    assert_eq!(after.len(), 100);
    for sent in &before {
        assert!(
            after
                .iter()
                .any(|again| again.id == sent.id && again.body == sent.body)
        );
    }
    life(directory.path(), async |activation| {
        assert_eq!(
            activation.metrics().outbox_rows,
            0,
            "what was delivered stays delivered"
        );
    });
}

#[test]
fn a_batch_handed_in_again_is_taken_once() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Runtime::new().unwrap();
    let receiver = serving.block_on(Receiver::start());
    life(directory.path(), async |activation| {
        activation
            .set_destinations(&[quick("ads", &receiver)])
            .unwrap();
        hand_in(activation, &[change(1, 1, 1), change(2, 1, 2)]);
        receiver.until_received(2).await;
        eventually("written down", || activation.metrics().outbox_rows == 0).await;
    });
    life(directory.path(), async |activation| {
        activation
            .set_destinations(&[quick("ads", &receiver)])
            .unwrap();
        hand_in(activation, &[change(1, 1, 1), change(2, 1, 2)]);
        hand_in(activation, &[change(2, 1, 2), change(3, 1, 3)]);
        receiver.until_received(3).await;
        eventually("written down", || activation.metrics().outbox_rows == 0).await;
    });
    let profiles: Vec<_> = receiver
        .received()
        .iter()
        .map(|one| one.profile())
        .collect();
    assert_eq!(profiles.iter().filter(|profile| **profile == 3).count(), 1);
    assert_eq!(profiles.len(), 3);
}

#[test]
fn a_destination_that_answered_gone_stays_off_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Runtime::new().unwrap();
    let receiver = serving.block_on(Receiver::start());
    receiver.then([Reply::Status(410)]);
    let off = BreakerState::Disabled;
    life(directory.path(), async |activation| {
        activation
            .set_destinations(&[quick("ads", &receiver)])
            .unwrap();
        hand_in(activation, &[change(1, 1, 1)]);
        eventually("off", || activation.list()[0].breaker == off).await;
        activation.shutdown(Duration::from_secs(5)).await;
    });
    life(directory.path(), async |activation| {
        activation
            .set_destinations(&[quick("ads", &receiver)])
            .unwrap();
        assert_eq!(activation.list()[0].breaker, off);
        let mut moved = quick("ads", &receiver);
        let url = moved.kind.text("url").replace("/hook", "/new");
        moved.kind.set("url", &*url);
        activation.set_destinations(&[moved]).unwrap();
        eventually("delivered", || activation.metrics().outbox_rows == 0).await;
    });
}

/// Lets "ads" answer 410 in a first life, does `then` in a second and says how it stands in a third.
fn after_gone(
    then: impl FnOnce(&tidegate_activation::Activation, &dyn Fn() -> DestinationConfig),
) -> BreakerState {
    let directory = tempfile::tempdir().unwrap();
    let serving = Runtime::new().unwrap();
    let receiver = serving.block_on(Receiver::start());
    receiver.then([Reply::Status(410)]);
    let ads = || quick("ads", &receiver);
    life(directory.path(), async |activation| {
        activation.set_destinations(&[ads()]).unwrap();
        hand_in(activation, &[change(1, 1, 1)]);
        let off = || activation.list()[0].breaker == BreakerState::Disabled;
        eventually("off", off).await;
        activation.shutdown(Duration::from_secs(5)).await;
    });
    let mut then = Some(then);
    life(directory.path(), async |activation| {
        then.take().unwrap()(activation, &ads);
    });
    let mut state = None;
    life(directory.path(), async |activation| {
        activation.set_destinations(&[ads()]).unwrap();
        state = Some(activation.list()[0].breaker);
    });
    state.unwrap()
}

#[test]
fn a_destination_that_was_enabled_stays_enabled_over_a_restart() {
    let state = after_gone(|activation, ads| {
        activation.set_destinations(&[ads()]).unwrap();
        activation.enable("ads").unwrap();
    });
    assert_eq!(state, BreakerState::Closed);
}

#[test]
fn a_410_is_forgotten_by_a_start_without_the_destination() {
    let state = after_gone(|activation, _| activation.set_destinations(&[]).unwrap());
    assert_eq!(state, BreakerState::Closed);
}

#[tokio::test]
async fn a_shutdown_waits_for_answers_and_says_what_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let (fast, hung) = (Receiver::start().await, Receiver::start().await);
    hung.always(Reply::Hang);
    let activation = open(directory.path(), settings());
    activation
        .set_destinations(&[quick("fast", &fast), quick("hung", &hung)])
        .unwrap();
    hand_in(&activation, &[change(1, 1, 1)]);
    fast.until_received(1).await;
    hung.until_received(1).await;
    let left = activation.shutdown(Duration::from_millis(300)).await;
    assert_eq!((left.queued, left.in_flight), (1, 1));
}

#[test]
fn dead_letters_of_a_destination_that_is_gone_at_the_next_start_are_dropped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Runtime::new().unwrap();
    let receiver = serving.block_on(Receiver::start());
    receiver.always(Reply::Status(400));
    let both = || [quick("ads", &receiver), quick("gone", &receiver)];
    let letters = |activation: &tidegate_activation::Activation| {
        let list = activation.list();
        list.iter().map(|one| one.dead_letters).collect::<Vec<_>>()
    };
    life(directory.path(), async |activation| {
        activation.set_destinations(&both()).unwrap();
        hand_in(activation, &[change(1, 1, 1), change(2, 1, 2)]);
        eventually("dead letters", || letters(activation) == [2, 2]).await;
    });
    life(directory.path(), async |activation| {
        activation
            .set_destinations(&[quick("ads", &receiver)])
            .unwrap();
        assert_eq!(letters(activation), [2]);
        assert_eq!(activation.metrics().outbox_orphaned, 2);
    });
    life(directory.path(), async |activation| {
        activation.set_destinations(&both()).unwrap();
        assert_eq!(letters(activation), [2, 0]);
        assert_eq!(activation.metrics().outbox_orphaned, 0);
    });
}

#[test]
fn rows_of_a_destination_that_is_gone_at_the_next_start_are_dropped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Runtime::new().unwrap();
    let receiver = serving.block_on(Receiver::start());
    receiver.always(Reply::Hang);
    let batch: Vec<_> = (1..=20).map(|n| change(n.into(), 1, n)).collect();
    life(directory.path(), async |activation| {
        let both = [quick("ads", &receiver), quick("gone", &receiver)];
        activation.set_destinations(&both).unwrap();
        hand_in(activation, &batch);
        assert_eq!(activation.metrics().outbox_rows, 40);
    });
    for dropped in [20, 0] {
        life(directory.path(), async |activation| {
            activation
                .set_destinations(&[quick("ads", &receiver)])
                .unwrap();
            let metrics = activation.metrics();
            assert_eq!(
                (metrics.outbox_rows, metrics.outbox_orphaned),
                (20, dropped)
            );
        });
    }
    receiver.always(Reply::Status(200));
    life(directory.path(), async |activation| {
        let both = [quick("ads", &receiver), quick("gone", &receiver)];
        activation.set_destinations(&both).unwrap();
        eventually("the other's were delivered", || {
            activation.metrics().outbox_rows == 0
        })
        .await;
        let delivered = |name: &str| {
            let list = activation.list();
            list.iter().find(|one| one.name == name).unwrap().delivered
        };
        assert_eq!((delivered("ads"), delivered("gone")), (20, 0));
    });
}
