//! What a receiver's refusals do: waiting, pausing, switching off.

use std::time::Duration;

use tidegate_activation::retry::FailureKind;
use tidegate_activation::{AdminError, BreakerState, PauseReason};

use crate::harness::{Bench, Receiver, Reply, change, eventually, quick, settings, until_paused};

#[tokio::test]
async fn a_503_with_retry_after_is_repeated_not_earlier_and_with_the_same_id() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::RetryAfter(503, "1")]);
    let bench = Bench::new(&[quick("ads", &receiver)]);
    bench.hand_in(&[change(1, 1, 10)]);
    until_paused(&bench).await;
    bench.hand_in(&[change(2, 1, 11)]);
    let received = receiver.until_received(3).await;
    for later in &received[1..] {
        // 2 ms for the rounding of both clocks.
        let waited = later.at - received[0].at;
        assert!(waited >= Duration::from_millis(998), "only {waited:?}");
    }
    assert_eq!(
        received
            .iter()
            .filter(|one| one.id == received[0].id)
            .count(),
        2
    );
}

#[tokio::test]
async fn refused_credentials_pause_the_destination_and_say_so() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::Status(401)]);
    let mut config = quick("ads", &receiver);
    config.retry.pause_ms = 300;
    let bench = Bench::new(&[config]);
    bench.hand_in(&[change(1, 1, 10)]);
    receiver.until_received(1).await;
    eventually("paused", || {
        matches!(
            bench.activation.list()[0].breaker,
            BreakerState::Open {
                reason: PauseReason::Auth,
                ..
            }
        )
    })
    .await;
    assert_eq!(
        bench.activation.list()[0].last_error,
        Some(FailureKind::Auth)
    );
    let received = receiver.until_received(2).await;
    assert!(received[1].at - received[0].at >= Duration::from_millis(298));
    eventually("closed again", || {
        bench.activation.list()[0].breaker == BreakerState::Closed
            && bench.activation.list()[0].queued == 0
    })
    .await;
}

#[tokio::test]
async fn gone_switches_the_destination_off_until_someone_enables_it() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::Status(410)]);
    let bench = Bench::new(&[quick("ads", &receiver)]);
    bench.hand_in(&[change(1, 1, 10)]);
    eventually("off", || {
        bench.activation.list()[0].breaker == BreakerState::Disabled
    })
    .await;
    bench.hand_in(&[change(2, 1, 11)]);
    // A test call goes past the queue: once it has arrived, the queue had its chance.
    bench.activation.test("ads").await.unwrap();
    assert_eq!(receiver.received().len(), 2);
    assert_eq!(bench.activation.list()[0].queued, 2);
    bench.activation.enable("ads").unwrap();
    receiver.until_received(4).await;
}

#[tokio::test]
async fn gone_is_over_where_the_destination_leaves_and_comes_back() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::Status(410)]);
    let ads = quick("ads", &receiver);
    let bench = Bench::new(std::slice::from_ref(&ads));
    bench.hand_in(&[change(1, 1, 10)]);
    let off = || bench.status("ads").breaker == BreakerState::Disabled;
    eventually("off", off).await;
    bench.activation.set_destinations(&[]).unwrap();
    let refused = bench.activation.enable("ads");
    assert!(matches!(refused, Err(AdminError::Left)), "{refused:?}");
    bench.activation.set_destinations(&[ads]).unwrap();
    receiver.until_received(2).await;
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_never_followed() {
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    receiver.then([Reply::Redirect(elsewhere.url.clone())]);
    let bench = Bench::new(&[quick("ads", &receiver)]);
    bench.hand_in(&[change(1, 1, 10)]);
    receiver.until_received(2).await;
    assert!(elsewhere.received().is_empty());
    let metrics = bench.activation.metrics();
    assert!(
        metrics.destinations[0]
            .failures
            .contains(&(FailureKind::Redirect, 1))
    );
}

#[tokio::test]
async fn a_time_out_is_repeated() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::Hang]);
    let mut config = quick("ads", &receiver);
    config.limits.timeout_ms = 100;
    let bench = Bench::new(&[config]);
    bench.hand_in(&[change(1, 1, 10)]);
    let received = receiver.until_received(2).await;
    assert_eq!(received[0].id, received[1].id);
    let metrics = bench.activation.metrics();
    assert!(
        metrics.destinations[0]
            .failures
            .contains(&(FailureKind::Timeout, 1))
    );
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_not_connected_unless_allowed() {
    let receiver = Receiver::start().await;
    let mut config = quick("ads", &receiver);
    let url = config.kind.text("url").replace("127.0.0.1", "localhost");
    config.kind.set("url", &*url);
    let nothing_allowed = tidegate_activation::Settings {
        allow_private: Vec::new(),
        ..settings()
    };
    let bench = Bench::with(nothing_allowed, &[config]);
    bench.hand_in(&[change(1, 1, 10)]);
    eventually("blocked", || {
        bench.activation.list()[0].last_error == Some(FailureKind::Blocked)
    })
    .await;
    assert!(receiver.received().is_empty());
    let report = bench.activation.test("ads").await.unwrap();
    assert_eq!(
        (report.status, report.failure),
        (None, Some(FailureKind::Blocked))
    );
}

#[tokio::test]
async fn while_a_destination_is_held_back_only_the_latest_state_waits() {
    let receiver = Receiver::start().await;
    receiver.then([Reply::RetryAfter(429, "1")]);
    let bench = Bench::new(&[quick("ads", &receiver)]);
    bench.hand_in(&[change(9, 1, 10)]);
    until_paused(&bench).await;
    for epoch in 1..=5 {
        bench.hand_in(&[change(1, epoch, 10 + u64::from(epoch))]);
    }
    let received = receiver.until_received(3).await;
    let of_one: Vec<_> = received
        .iter()
        .filter(|one| one.profile() == 1)
        .map(|one| one.change().1)
        .collect();
    assert_eq!(of_one, [5]);
    assert_eq!(bench.activation.metrics().destinations[0].coalesced, 4);
    eventually("the outbox is empty", || {
        bench.activation.metrics().outbox_rows == 0
    })
    .await;
}
