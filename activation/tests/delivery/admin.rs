//! Configuration, test calls and figures.

use std::time::Duration;

use tidegate_activation::destinations::webhook;
use tidegate_activation::{
    AdminError, ApplyError, ConfigErrorKind, DestinationConfig, ReplayWhich,
};

use crate::harness::{Bench, Receiver, Reply, SECRET, change, eventually, quick};

#[tokio::test]
async fn an_invalid_configuration_changes_nothing() {
    let receiver = Receiver::start().await;
    let bench = Bench::new(&[quick("ads", &receiver)]);
    let bad = DestinationConfig::new(
        "bad",
        webhook::kind("http://10.0.0.1/", SECRET),
        &["buyers"],
    );
    let Err(ApplyError::Invalid(errors)) = bench.activation.set_destinations(&[bad]) else {
        panic!("accepted");
    };
    assert_eq!(
        errors[0].kind,
        ConfigErrorKind::Key(webhook::PRIVATE_ADDRESS)
    );
    bench.hand_in(&[change(1, 1, 1)]);
    receiver.until_received(1).await;
}

#[tokio::test]
async fn a_destination_that_leaves_is_disabled_and_resumes_when_it_is_back() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::RetryAfter(503, "1")]);
    let bench = Bench::new(&[quick("ads", &receiver)]);
    bench.hand_in(&[change(1, 1, 1)]);
    receiver.until_received(1).await;
    bench.activation.set_destinations(&[]).unwrap();
    bench.hand_in(&[change(2, 1, 2)]);
    let status = &bench.activation.list()[0];
    assert_eq!(
        (status.enabled, status.queued),
        (false, 1),
        "nothing new is queued for it"
    );
    bench
        .activation
        .set_destinations(&[quick("ads", &receiver)])
        .unwrap();
    let received = receiver.until_received(2).await;
    assert_eq!(received[1].profile(), 1);
}

#[tokio::test]
async fn a_changed_url_takes_effect_without_a_restart() {
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    let bench = Bench::new(&[quick("ads", &old)]);
    bench.hand_in(&[change(1, 1, 1)]);
    old.until_received(1).await;
    bench
        .activation
        .set_destinations(&[quick("ads", &new)])
        .unwrap();
    bench.hand_in(&[change(1, 2, 2)]);
    assert_eq!(new.until_received(1).await[0].change().1, 2);
}

#[tokio::test]
async fn a_test_call_is_signed_and_reports_status_and_latency() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::Status(204), Reply::Status(403)]);
    let bench = Bench::new(&[quick("ads", &receiver)]);
    let report = bench.activation.test("ads").await.unwrap();
    assert_eq!((report.status, report.failure), (Some(204), None));
    assert_eq!(receiver.received()[0].body["type"], "tidegate.test");
    let refused = bench.activation.test("ads").await.unwrap();
    assert!(refused.failure.is_some());
    assert!(matches!(
        bench.activation.test("x").await,
        Err(AdminError::UnknownDestination)
    ));
    assert!(bench.activation.replay("x", ReplayWhich::All).is_err());
}

#[tokio::test]
async fn every_attempt_and_delivery_is_counted() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::Status(500)]);
    let bench = Bench::new(&[quick("ads", &receiver)]);
    bench.hand_in(&[change(1, 1, 1)]);
    eventually("done", || bench.activation.metrics().outbox_rows == 0).await;
    let metrics = bench.activation.metrics();
    let ads = &metrics.destinations[0];
    assert_eq!(
        (ads.attempts, ads.status.delivered, metrics.cursor),
        (2, 1, 2)
    );
    assert_eq!(ads.failures.iter().map(|(_, count)| count).sum::<u64>(), 1);
    assert_eq!(ads.attempt_latency.counts.iter().sum::<u64>(), 2);
    assert_eq!(ads.change_latency.counts.iter().sum::<u64>(), 1);
    assert_eq!(ads.status.last_error, None);
}

/// Prints the spread; the bound is generous because tests share the machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_a_healthy_receiver_within_milliseconds() {
    let receiver = Receiver::start().await;
    let bench = Bench::new(&[quick("ads", &receiver)]);
    let mut waits = Vec::new();
    for n in 1..=50u32 {
        let handed = tokio::time::Instant::now();
        bench.hand_in(&[change(u128::from(n), n, u64::from(n))]);
        let received = receiver.until_received(usize::try_from(n).unwrap()).await;
        waits.push(received.last().unwrap().at - handed);
    }
    waits.sort_unstable();
    println!(
        "hand-in to receipt: p50 {:?}, p98 {:?}",
        waits[25], waits[48]
    );
    assert!(waits[25] < Duration::from_millis(50), "p50 {:?}", waits[25]);
}
