//! Dead letters: how changes get there, what they show, how they come back.

use tidegate_activation::{DeadReason, ReplayReport, ReplayWhich, Settings};

use crate::harness::{Bench, Receiver, Reply, change, eventually, quick, settings};

#[tokio::test]
async fn a_400_is_a_dead_letter_at_once_and_a_replay_delivers_it() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::Status(400)]);
    let bench = Bench::new(&[quick("ads", &receiver)]);
    bench.hand_in(&[change(1, 1, 10)]);
    eventually("a dead letter", || {
        bench.activation.list()[0].dead_letters == 1
    })
    .await;
    let letters = bench.activation.dead_letters("ads", 10).unwrap();
    let letter = &letters[0];
    assert_eq!((letter.reason, letter.attempts), (DeadReason::Refused, 1));
    assert_eq!((letter.last_status, letter.epoch), (Some(400), 1));
    assert_eq!(
        letter.request.url,
        receiver.url.split('?').next().unwrap(),
        "no query"
    );
    assert!(letter.request.body.contains("segment.enter"));
    let report = bench
        .activation
        .replay("ads", ReplayWhich::Ids(vec![letter.id, letter.id, 999]))
        .unwrap();
    assert_eq!(
        report,
        ReplayReport {
            replayed: 1,
            missing: 1,
            ..ReplayReport::default()
        }
    );
    let received = receiver.until_received(2).await;
    assert_eq!(received[0].id, received[1].id);
    assert_eq!(letter.delivery_id, received[0].id);
    eventually("all done", || bench.activation.metrics().outbox_rows == 0).await;
    assert_eq!(bench.activation.list()[0].dead_letters, 0);
}

#[tokio::test]
async fn a_replay_that_something_newer_overtook_is_superseded() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::Status(400)]);
    let bench = Bench::new(&[quick("ads", &receiver)]);
    bench.hand_in(&[change(1, 1, 10)]);
    eventually("a dead letter", || {
        bench.activation.list()[0].dead_letters == 1
    })
    .await;
    bench.hand_in(&[change(1, 2, 11)]);
    receiver.until_received(2).await;
    eventually("the exit is done", || {
        bench.activation.metrics().outbox_rows == 0
    })
    .await;
    let report = bench.activation.replay("ads", ReplayWhich::All).unwrap();
    assert_eq!(
        report,
        ReplayReport {
            superseded: 1,
            ..ReplayReport::default()
        }
    );
    assert_eq!(bench.activation.metrics().destinations[0].superseded, 1);
    // A later change shows that nothing was sent in between.
    bench.hand_in(&[change(1, 3, 12)]);
    let epochs: Vec<_> = receiver
        .until_received(3)
        .await
        .iter()
        .map(|one| one.change().1)
        .collect();
    assert_eq!(epochs, [1, 2, 3]);
}

#[tokio::test]
async fn past_its_deadline_a_change_is_a_dead_letter_even_while_nothing_is_sent() {
    let receiver = Receiver::start().await;
    receiver.always(Reply::Status(500));
    let mut config = quick("ads", &receiver);
    config.retry.max_age_ms = 200;
    let bench = Bench::new(&[config]);
    let batch: Vec<_> = (1..=20).map(|n| change(n.into(), 1, n)).collect();
    bench.hand_in(&batch);
    eventually("all dead", || bench.activation.list()[0].dead_letters == 20).await;
    let letters = bench.activation.dead_letters("ads", 100).unwrap();
    assert!(
        letters
            .iter()
            .all(|letter| letter.reason == DeadReason::Expired)
    );
    assert_eq!(bench.activation.metrics().outbox_rows, 0);
}

#[tokio::test]
async fn beyond_the_cap_the_oldest_letter_goes_and_is_counted() {
    let receiver = Receiver::start().await;
    receiver.always(Reply::Status(422));
    let bench = Bench::with(
        Settings {
            dead_letters_max: 3,
            ..settings()
        },
        &[quick("ads", &receiver)],
    );
    for n in 1..=5u32 {
        bench.hand_in(&[change(u128::from(n), n, u64::from(n))]);
        eventually("settled", || bench.activation.metrics().outbox_rows == 0).await;
    }
    let metrics = bench.activation.metrics();
    assert_eq!(
        (
            metrics.destinations[0].dead_total,
            metrics.destinations[0].dead_dropped
        ),
        (5, 2)
    );
    let letters = bench.activation.dead_letters("ads", 10).unwrap();
    let epochs: Vec<_> = letters.iter().map(|letter| letter.epoch).collect();
    assert_eq!(epochs, [5, 4, 3], "newest first");
}
