//! In order per profile and segment, and one destination never slows another.

use tidegate_activation::Intent;

use crate::harness::{Bench, Receiver, Reply, change, eventually, quick};

#[tokio::test]
async fn enter_then_exit_arrive_in_order_within_one_batch_and_over_two() {
    let receiver = Receiver::start().await;
    let bench = Bench::new(&[quick("ads", &receiver)]);
    bench.hand_in(&[change(1, 1, 10), change(1, 2, 11)]);
    bench.hand_in(&[change(1, 3, 12)]);
    let received = receiver.until_received(3).await;
    let changes: Vec<_> = received.iter().map(|one| one.change()).collect();
    assert_eq!(
        changes,
        [("enter".into(), 1), ("exit".into(), 2), ("enter".into(), 3)]
    );
    assert_eq!(received[0].body["anonymous_id"], "anon-1");
    assert_eq!(received[0].body["segment"], "buyers");
    eventually("the outbox is empty", || {
        bench.activation.metrics().outbox_rows == 0
    })
    .await;
}

#[tokio::test]
async fn a_failed_enter_holds_back_its_own_exit_and_nothing_else() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::Status(500)]);
    let mut config = quick("ads", &receiver);
    config.retry.base_ms = 400;
    let bench = Bench::new(&[config]);
    bench.hand_in(&[change(1, 1, 10)]);
    receiver.until_received(1).await;
    bench.hand_in(&[change(1, 2, 11), change(2, 1, 12)]);
    let received = receiver.until_received(4).await;
    let of_one: Vec<_> = received
        .iter()
        .filter(|one| one.profile() == 1)
        .map(|one| one.change().1)
        .collect();
    assert_eq!(of_one, [1, 1, 2]);
    assert_eq!(
        received[0].id,
        received
            .iter()
            .filter(|r| r.profile() == 1)
            .nth(1)
            .unwrap()
            .id
    );
}

#[tokio::test]
async fn a_destination_that_never_answers_slows_no_other() {
    let (slow, fast) = (Receiver::start().await, Receiver::start().await);
    slow.always(Reply::Hang);
    let bench = Bench::new(&[quick("slow", &slow), quick("fast", &fast)]);
    let batch: Vec<_> = (0..200).map(|n| change(u128::from(n), 1, n)).collect();
    bench.hand_in(&batch);
    fast.until_received(200).await;
    let list = bench.activation.list();
    eventually("fast is done", || bench.activation.list()[0].queued == 0).await;
    assert_eq!((list[1].name.as_str(), list[1].queued), ("slow", 200));
    assert_eq!(list[1].in_flight, 64, "no more at once than its limit");
}

#[tokio::test]
async fn a_segment_goes_only_to_the_destinations_that_want_it() {
    let (buyers, all, none) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let mut everything = quick("all", &all);
    everything.segments = vec!["*".to_owned()];
    let mut nothing = quick("none", &none);
    nothing.segments = vec!["others".to_owned()];
    let bench = Bench::new(&[quick("buyers", &buyers), everything, nothing]);
    let mut other = change(1, 1, 10);
    let Intent::AudienceChange(moved) = &mut other;
    moved.segment = "readers".to_owned();
    bench.hand_in(&[other, change(1, 1, 11)]);
    buyers.until_received(1).await;
    all.until_received(2).await;
    assert_eq!((buyers.received().len(), none.received().len()), (1, 0));
}

#[tokio::test]
async fn more_keys_than_memory_holds_all_arrive_once_and_in_order() {
    let receiver = Receiver::start().await;
    let settings = tidegate_activation::Settings {
        resident_max: 8,
        ..crate::harness::settings()
    };
    let bench = Bench::with(settings, &[quick("ads", &receiver)]);
    let mut offset = 0;
    for epoch in 1..=3 {
        let batch: Vec<_> = (0..100)
            .map(|profile| {
                offset += 1;
                change(profile, epoch, offset)
            })
            .collect();
        bench.hand_in(&batch);
    }
    let received = receiver.until_received(300).await;
    for profile in 0..100 {
        let epochs: Vec<_> = received
            .iter()
            .filter(|one| one.profile() == profile)
            .map(|one| one.change().1)
            .collect();
        assert_eq!(epochs, [1, 2, 3], "profile {profile}");
    }
    eventually("the outbox is empty", || {
        bench.activation.metrics().outbox_rows == 0
    })
    .await;
    assert_eq!(receiver.received().len(), 300);
}
