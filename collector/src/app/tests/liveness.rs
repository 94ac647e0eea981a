//! A running gateway reports what does not move on.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Gateway, Launch, Patience, ask, launch, settings};
use crate::liveness::{Report, spawn};
use crate::settings::Kafka;

/// How long a part that is gone may stay unseen.
const NOTICED: Duration = Duration::from_secs(1);
/// How long anything else may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until the answer is what `is` wants.
async fn eventually<F: Future<Output = (u16, String)>>(
    within: Duration,
    asked: impl Fn() -> F,
    is: impl Fn(u16, &str) -> bool,
) -> (u16, String) {
    let found = async {
        loop {
            let (status, text) = asked().await;
            if is(status, &text) {
                return (status, text);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, found).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_does_not_move_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    // Nobody listens there, and the record of the first catalog waits.
    settings.kafka = Some(Kafka::with_brokers("127.0.0.1:1".to_owned()));
    settings.liveness.cursor_stalled_ms = 500;
    let gateway = Gateway::start(launch(settings)).await.unwrap();
    let stalled = |_, text: &str| text.contains("\"stalled\":true");
    let (status, text) = eventually(PATIENCE, || ask(&gateway, "/readyz?verbose"), stalled).await;
    assert_eq!(status, 200, "hits are still taken: {text}");
    for part in [
        "journal-committer",
        "activation-cursor",
        "timers",
        "runtime",
    ] {
        assert!(
            text.contains(&format!("\"part\":\"{part}\"")),
            "{part}: {text}"
        );
    }
    assert_eq!(
        ask(&gateway, "/healthz").await.0,
        200,
        "a restart helps no broker"
    );
    let (_, metrics) = ask(&gateway, "/metrics").await;
    let still = |cursor: &str| -> f64 {
        let series = format!("tidegate_cursor_stalled_seconds{{cursor=\"{cursor}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap().parse().unwrap()
    };
    assert!(still("kafka") >= 0.5);
    assert!(still("activation") < 0.5);
    let patience = Patience::of(&gateway.settings().drain);
    gateway.stop(patience).await;
}

static LOST: AtomicBool = AtomicBool::new(false);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_panics_is_noticed_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(Launch {
        after_look: Some(|report: &Report| {
            LOST.fetch_or(report.lost().is_some(), Ordering::Relaxed);
        }),
        ..launch(settings(dir.path()))
    });
    let gateway = gateway.await.unwrap();
    assert_eq!(ask(&gateway, "/healthz").await.0, 200);
    assert!(!LOST.load(Ordering::Relaxed));
    let pulse = gateway.liveness.register("victim", PATIENCE);
    let victim = spawn::thread("victim", pulse, |_| panic!("as the test wants it"));
    assert!(victim.unwrap().join().is_err());
    let gone = |status, text: &str| status == 503 && text.contains("victim is panicked");
    eventually(NOTICED, || ask(&gateway, "/healthz"), gone).await;
    assert!(LOST.load(Ordering::Relaxed), "the process would end");
    let (_, metrics) = ask(&gateway, "/metrics").await;
    assert!(metrics.contains("tidegate_stalled{part=\"victim\"} 1"));
    assert!(metrics.contains("tidegate_stalled{part=\"timers\"} 0"));
    let patience = Patience::of(&gateway.settings().drain);
    gateway.stop(patience).await;
}
