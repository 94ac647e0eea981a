//! Load as real clients make it: each connection is one visitor who sends the next event when the
//! last one is answered, and sends the same event again, under the same messageId, until it is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::Method;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::config::WEB_KEY;
use crate::gateway::Target;
use crate::http::{Connection, shared};
use crate::patience::{eventually, now};

/// How long a client waits after a failure before it tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// Running clients.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// What they found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// messageIds that a 200 was received for.
    pub acked: Vec<String>,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests that ended without an answer.
    pub broken: u64,
    /// Those among them that a client could not put down to an idle connection being closed: they
    /// were the first on their connection, or there was no connection to be had.
    pub failed: u64,
    /// The slowest answer.
    pub slowest: Duration,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    stop: AtomicBool,
    acked: AtomicU64,
    pause: Duration,
    report: Mutex<Report>,
}

impl Load {
    /// Starts `connections` clients as fast as they can.
    #[must_use]
    pub fn start(target: Target, connections: usize) -> Self {
        Self::paced(target, connections, Duration::ZERO)
    }

    /// Starts `connections` clients that rest for `pause` after each answer.
    #[must_use]
    pub fn paced(target: Target, connections: usize, pause: Duration) -> Self {
        let state = Arc::new(Shared {
            target,
            stop: AtomicBool::new(false),
            acked: AtomicU64::new(0),
            pause,
            report: Mutex::new(Report::default()),
        });
        let workers = (0..connections)
            .map(|visitor| shared().spawn(visit(Arc::clone(&state), visitor)))
            .collect();
        Self {
            shared: state,
            workers,
        }
    }

    /// How many events are acknowledged so far.
    #[must_use]
    pub fn acked(&self) -> u64 {
        self.shared.acked.load(Ordering::Relaxed)
    }

    /// Waits until `more` further events are acknowledged.
    pub fn wait_for(&self, more: u64) {
        let goal = self.acked() + more;
        eventually("acknowledged events", || {
            (self.acked() >= goal).then_some(())
        });
    }

    /// What the clients found so far.
    ///
    /// # Panics
    /// Where a client did.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.report.lock().expect("no client panics").clone()
    }

    /// Ends the clients after the request each has in hand.
    ///
    /// # Panics
    /// Where a client did.
    #[must_use]
    pub fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            shared().block_on(worker).expect("no client panics");
        }
        let report = self.shared.report.lock().expect("no client panics");
        report.clone()
    }
}

/// One visitor until told to stop.
async fn visit(shared: Arc<Shared>, visitor: usize) {
    let path = format!("/v1/events?writeKey={WEB_KEY}");
    let headers = [("content-type", "application/json")];
    let run: u32 = StdRng::from_os_rng().random();
    let mut connection = None;
    let mut n = 0_u64;
    while !shared.stop.load(Ordering::Relaxed) {
        let id = format!("m-{run:08x}-{visitor}-{n}");
        let body = json!({
            "type": "track", "event": "Product Viewed", "messageId": id,
            "anonymousId": format!("visitor-{run:08x}-{visitor}"),
            "properties": { "n": n, "sku": "T-1001", "price": 19.9 },
        });
        let address = shared.target.read().expect("no holder panics").http;
        let start = now();
        let reused = connection.is_some();
        let answer = match connection.take() {
            Some(open) => Some(open),
            None => Connection::open(address).await.ok(),
        };
        let answer = match answer {
            Some(mut open) => {
                let answer = open
                    .send(Method::POST, &path, &headers, body.to_string())
                    .await;
                connection = answer.is_ok().then_some(open);
                answer.ok()
            }
            None => None,
        };
        let acked = shared.note(
            answer.map(|answer| answer.status.as_u16()),
            reused,
            &id,
            start.elapsed(),
        );
        if acked {
            n += 1;
        }
        let rest = if acked { shared.pause } else { PAUSE };
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
    }
}

impl Shared {
    fn note(&self, status: Option<u16>, reused: bool, id: &str, took: Duration) -> bool {
        let mut report = self.report.lock().expect("no client panics");
        let Some(status) = status else {
            report.broken += 1;
            report.failed += u64::from(!reused);
            return false;
        };
        report.slowest = report.slowest.max(took);
        *report.by_status.entry(status).or_default() += 1;
        let acked = status == 200;
        if acked {
            report.acked.push(id.to_owned());
            self.acked.fetch_add(1, Ordering::Relaxed);
        }
        acked
    }
}

impl Report {
    /// Holds that every request was answered, and with one of these statuses.
    ///
    /// # Panics
    /// Where one was not.
    pub fn assert_answered_only(&self, statuses: &[u16]) {
        let only = self.by_status.keys().all(|one| statuses.contains(one));
        assert!(
            only && self.broken == 0,
            "{:?}, {} broken",
            self.by_status,
            self.broken
        );
    }
}
