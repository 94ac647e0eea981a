//! Capacity of the outbox: a destination that cannot deliver takes none from another.

use std::time::Duration;

use tidegate_activation::{DeadReason, Intent, ReplayWhich, Settings};

use crate::harness::{Bench, Receiver, Reply, change, eventually, quick, settings, until_paused};

fn capacity(outbox_rows_max: u64, destination_rows_max: u64) -> Settings {
    Settings {
        outbox_rows_max,
        destination_rows_max,
        ..settings()
    }
}

fn visitors(range: std::ops::RangeInclusive<u64>) -> Vec<Intent> {
    range.map(|n| change(n.into(), 1, n)).collect()
}

async fn bad_beside_good(bad_reply: Reply) {
    let (bad, good) = (Receiver::start().await, Receiver::start().await);
    bad.always(bad_reply);
    let bench = Bench::with(
        capacity(100, 50),
        &[quick("bad", &bad), quick("good", &good)],
    );
    bench.follow(&visitors(1..=300)).await;
    good.until_received(300).await;
    assert_eq!(bench.activation.cursor(), 301);
    assert_eq!(bench.status("good").dead_letters, 0);
    let status = bench.status("bad");
    assert_eq!((status.queued, status.dead_letters), (50, 250));
    let letters = bench.activation.dead_letters("bad", 1_000).unwrap();
    let full = |letter: &tidegate_activation::DeadLetter| letter.reason == DeadReason::OutboxFull;
    assert!(letters.iter().all(full));
}

#[tokio::test]
async fn one_that_answers_500_takes_no_place_from_one_that_delivers() {
    bad_beside_good(Reply::Status(500)).await;
}

#[tokio::test]
async fn one_that_answers_410_takes_no_place_from_one_that_delivers() {
    bad_beside_good(Reply::Status(410)).await;
}

#[tokio::test]
async fn one_that_never_answers_takes_no_place_from_one_that_delivers() {
    bad_beside_good(Reply::Hang).await;
}

#[tokio::test]
async fn two_that_are_dead_leave_the_third_capacity() {
    let (dead, good) = (Receiver::start().await, Receiver::start().await);
    dead.always(Reply::Status(500));
    let bench = Bench::with(
        capacity(60, 60),
        &[quick("a", &dead), quick("b", &dead), quick("good", &good)],
    );
    bench.follow(&visitors(1..=300)).await;
    good.until_received(300).await;
    eventually("good is empty", || bench.status("good").queued == 0).await;
    let (a, b) = (bench.status("a"), bench.status("b"));
    assert!(a.queued >= 10 && b.queued >= 10, "each has its own part");
    assert!(a.queued + b.queued <= 50, "the third one has its own too");
    assert_eq!(a.queued + a.dead_letters, 300);
    assert_eq!(b.queued + b.dead_letters, 300);
}

/// The receiver's answers come one at a time, so that the queue cannot be emptied in between.
#[tokio::test]
async fn a_burst_beyond_its_places_reaches_a_destination_that_delivers_whole() {
    let receiver = Receiver::start().await;
    let mut config = quick("ads", &receiver);
    config.limits.concurrency = 1;
    let bench = Bench::with(capacity(20, 10), &[config]);
    bench.follow(&visitors(1..=200)).await;
    assert_eq!(receiver.until_received(200).await.len(), 200);
    assert_eq!(bench.status("ads").dead_letters, 0);
}

#[tokio::test]
async fn one_that_is_slower_than_the_changes_is_waited_for_once() {
    let (slow, quick_one) = (Receiver::start().await, Receiver::start().await);
    let mut config = quick("slow", &slow);
    config.limits.rps = 1;
    let bench = Bench::with(capacity(100, 10), &[config, quick("quick", &quick_one)]);
    let began = tokio::time::Instant::now();
    for n in 1..=20 {
        bench.follow(&visitors(n * 10 - 9..=n * 10)).await;
        quick_one
            .until_received(usize::try_from(n * 10).unwrap())
            .await;
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it held the others up"
    );
    let status = bench.status("slow");
    assert_eq!(status.queued, 10);
    assert!(status.dead_letters > 180);
}

#[tokio::test]
async fn what_a_destination_left_behind_takes_no_capacity() {
    let (gone, good) = (Receiver::start().await, Receiver::start().await);
    gone.always(Reply::Status(500));
    let mut held = quick("good", &good);
    let bench = Bench::with(capacity(40, 40), &[quick("gone", &gone), held.clone()]);
    bench.follow(&visitors(1..=100)).await;
    eventually("good is empty", || bench.status("good").queued == 0).await;
    assert!(bench.status("gone").queued >= 10);
    held.limits.rps = 1;
    bench.activation.set_destinations(&[held]).unwrap();
    bench.follow(&visitors(101..=135)).await;
    assert_eq!(bench.status("good").dead_letters, 0);
    assert!(bench.status("good").queued > 30);
}

#[tokio::test]
async fn a_replay_takes_no_more_than_the_destinations_part() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::RetryAfter(503, "60")]);
    let bench = Bench::with(capacity(20, 10), &[quick("ads", &receiver)]);
    bench.follow(&visitors(1..=1)).await;
    until_paused(&bench).await;
    bench.follow(&visitors(2..=30)).await;
    assert_eq!(bench.status("ads").dead_letters, 20);
    let report = bench.activation.replay("ads", ReplayWhich::All).unwrap();
    assert_eq!((report.replayed, report.no_capacity), (0, 20));
    assert_eq!(bench.status("ads").queued, 10);
}
