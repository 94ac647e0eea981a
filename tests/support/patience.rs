//! The one knob for how long tests wait, the one place that reads the clock, and the lock that
//! keeps heavy tests from starving each other on a small machine.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

/// How long anything may take before a test gives up: `TIDEGATE_TEST_PATIENCE_S`, 60 by default.
#[must_use]
pub fn patience() -> Duration {
    let seconds = std::env::var("TIDEGATE_TEST_PATIENCE_S");
    let seconds = seconds.ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// True where the long forms of the tests are wanted (`TIDEGATE_LONG=1`).
#[must_use]
pub fn long() -> bool {
    std::env::var("TIDEGATE_LONG").is_ok_and(|value| value == "1")
}

/// Now, on the monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the harness's only clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Asks every 20 ms until there is an answer, and fails with `what` when patience ends.
///
/// # Panics
/// When patience ends.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < patience(), "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Lets `length` pass because the test is about a length of time (an outage, a window), never
/// because something is hoped to be done by then.
pub fn during(length: Duration) {
    thread::sleep(length);
}

/// Takes this test's turn: integration tests run one at a time.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A runtime for the harness's own clients and servers.
#[must_use]
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("harness")
        .enable_all()
        .build()
        .expect("a runtime starts")
}
