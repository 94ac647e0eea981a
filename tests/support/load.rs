//! Load as real clients make it: each connection is one visitor who sends the next event when the
//! last one is answered, and sends the same event again, under the same messageId, until it is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::config::WEB_KEY;
use crate::gateway::{Gateway, Target};
use crate::http::{Answer, shared};
use crate::lane::{Lane, NoAnswer, Spoken};
use crate::patience::{eventually, now};

/// How long a client waits after a failure before it tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// Visitors who share one connection, where the version of HTTP allows it.
const SHARED_BY: usize = 4;

/// Running clients.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    lanes: Vec<Arc<Lane>>,
    workers: Vec<JoinHandle<()>>,
}

/// What they found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// messageIds that a 200 was received for.
    pub acked: Vec<String>,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests that ended without an answer and not because they were turned away.
    pub broken: u64,
    /// Those among them that a client could not put down to an idle connection being closed, with
    /// why, by what was spoken.
    pub failed: BTreeMap<Spoken, Vec<String>>,
    /// Requests that the server said, or the client knew, were not processed.
    pub turned_away: u64,
    /// Connections opened, by what was spoken.
    pub opened: BTreeMap<Spoken, u64>,
    /// The slowest answer.
    pub slowest: Duration,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    acked: AtomicU64,
    pause: Duration,
    report: Mutex<Report>,
}

impl Load {
    /// Starts `connections` clients as fast as they can.
    #[must_use]
    pub fn start(target: &Target, connections: usize) -> Self {
        Self::paced(target, connections, Duration::ZERO)
    }

    /// Starts `connections` clients that rest for `pause` after each answer.
    #[must_use]
    pub fn paced(target: &Target, connections: usize, pause: Duration) -> Self {
        let lane = || Arc::new(Lane::new(Spoken::Http1, Arc::clone(target), String::new()));
        let lanes = (0..connections).map(|_| (lane(), 1)).collect();
        Self::on(lanes, pause)
    }

    /// Starts `connections` of each version of HTTP, those that can be shared with several clients
    /// each.
    ///
    /// # Panics
    /// Where the gateway has no TLS.
    #[must_use]
    pub fn mixed(gateway: &Gateway, connections: usize) -> Self {
        let trusted = gateway.certificate();
        let lane = |spoken| {
            let lane = Lane::new(spoken, gateway.target(), trusted.clone());
            let visitors = if spoken == Spoken::Http1 {
                1
            } else {
                SHARED_BY
            };
            (Arc::new(lane), visitors)
        };
        let versions = [
            Spoken::Http1,
            Spoken::Http2,
            Spoken::Http2Tls,
            Spoken::Http3,
        ];
        let all = std::iter::repeat_n(versions, connections).flatten();
        Self::on(all.map(lane).collect(), Duration::ZERO)
    }

    fn on(lanes: Vec<(Arc<Lane>, usize)>, pause: Duration) -> Self {
        let state = Arc::new(Shared {
            stop: AtomicBool::new(false),
            acked: AtomicU64::new(0),
            pause,
            report: Mutex::new(Report::default()),
        });
        let visitors = lanes
            .iter()
            .flat_map(|(lane, visitors)| std::iter::repeat_n(lane, *visitors));
        let workers = visitors
            .enumerate()
            .map(|(visitor, lane)| {
                shared().spawn(visit(Arc::clone(&state), Arc::clone(lane), visitor))
            })
            .collect();
        Self {
            shared: state,
            lanes: lanes.into_iter().map(|(lane, _)| lane).collect(),
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

    /// Waits until each connection has been opened so many times.
    pub fn wait_for_connections(&self, times: u64) {
        eventually("connections opened anew", || {
            let all = self.lanes.iter().all(|lane| lane.opened() >= times);
            all.then_some(())
        });
    }

    /// What the clients found so far.
    ///
    /// # Panics
    /// Where a client did.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.shared.report.lock().expect("no client panics").clone();
        for lane in &self.lanes {
            *report.opened.entry(lane.spoken()).or_default() += lane.opened();
        }
        report
    }

    /// Ends the clients after the request each has in hand.
    ///
    /// # Panics
    /// Where a client did.
    #[must_use]
    pub fn stop(mut self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            shared().block_on(worker).expect("no client panics");
        }
        self.report()
    }
}

/// One visitor until told to stop.
async fn visit(shared: Arc<Shared>, lane: Arc<Lane>, visitor: usize) {
    let path = format!("/v1/events?writeKey={WEB_KEY}");
    let run: u32 = StdRng::from_os_rng().random();
    let mut n = 0_u64;
    while !shared.stop.load(Ordering::Relaxed) {
        let id = format!("m-{run:08x}-{visitor}-{n}");
        let body = json!({
            "type": "track", "event": "Product Viewed", "messageId": id,
            "anonymousId": format!("visitor-{run:08x}-{visitor}"),
            "properties": { "n": n, "sku": "T-1001", "price": 19.9 },
        });
        let start = now();
        let answer = lane.post(&path, body.to_string()).await;
        let acked = shared.note(lane.spoken(), answer, &id, start.elapsed());
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
    fn note(
        &self,
        spoken: Spoken,
        answer: Result<Answer, NoAnswer>,
        id: &str,
        took: Duration,
    ) -> bool {
        let mut report = self.report.lock().expect("no client panics");
        let status = match answer {
            Ok(answer) => answer.status.as_u16(),
            Err(NoAnswer::TurnedAway) => {
                report.turned_away += 1;
                return false;
            }
            Err(NoAnswer::ClosedIdle) => {
                report.broken += 1;
                return false;
            }
            Err(NoAnswer::NoConnection(error) | NoAnswer::Broken(error)) => {
                report.broken += 1;
                let failed = report.failed.entry(spoken).or_default();
                failed.push(format!("{error:?}"));
                return false;
            }
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
