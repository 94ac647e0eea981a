//! Load over many lanes (keep-alive connections, or streams of them) on one thread: a closed loop for the cost of a request,
//! an open loop for its latency. In the open loop the time counts from when a request was due,
//! not from when the generator got round to sending it (no coordinated omission).

use std::io::Result;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::protocol::{Lane, Protocol};
use crate::workload::Request;

/// Connections of the closed loops: enough to keep the server busy, with a batch at each commit.
pub const CONNECTIONS: usize = 64;
/// Serials of one lane in one round.
const SERIALS_EACH: u64 = 1_000_000_000;
/// Rounds are told apart by their serials; so many lanes fit in one.
const CONNECTIONS_MAX: u64 = 1_000;
/// Sleeping is exact to a millisecond only, so the last of a wait is spun.
const SPUN: Duration = Duration::from_micros(1_500);

/// One round of load.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Who is loaded.
    pub address: SocketAddr,
    /// Requests in flight at once: connections, or streams.
    pub connections: usize,
    /// Requests in all.
    pub requests: usize,
    /// Different for each round, so that message ids are.
    pub round: u64,
}

/// A round's result.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Requests answered with 200.
    pub requests: usize,
    /// Events in them.
    pub events: usize,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Latencies in microseconds, sorted; empty for a closed loop.
    pub latencies_us: Vec<u64>,
}

impl Done {
    /// The latency below which the share `part` of the requests stayed, in milliseconds.
    #[must_use]
    pub fn percentile_ms(&self, part: f64) -> f64 {
        percentile_ms(&self.latencies_us, part)
    }

    /// Requests a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// See [`Done::percentile_ms`]; `sorted_us` is sorted.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is within it"
)]
pub fn percentile_ms(sorted_us: &[u64], part: f64) -> f64 {
    let at = (sorted_us.len() as f64 * part) as usize;
    let found = sorted_us.get(at).or_else(|| sorted_us.last());
    found.map_or(0.0, |us| *us as f64 / 1e3)
}

/// Every lane sends its next request as soon as the last is answered. The requests are
/// dealt out to the lanes in turn and used again and again.
///
/// # Errors
/// The first request that fails ends it.
pub async fn closed(plan: Plan, requests: &[Request]) -> Result<Done> {
    run(plan.lanes().await?, plan, requests, None).await
}

/// As [`closed`], on lanes that are open already: what opening them costs is not in it.
///
/// # Errors
/// The first request that fails ends it.
pub async fn closed_on(lanes: Vec<Lane>, plan: Plan, requests: &[Request]) -> Result<Done> {
    run(lanes, plan, requests, None).await
}

/// `rate` requests a second, evenly spaced, whatever the answers do.
///
/// # Errors
/// The first request that fails ends it.
pub async fn open(plan: Plan, requests: &[Request], rate: f64) -> Result<Done> {
    run(plan.lanes().await?, plan, requests, Some(rate)).await
}

impl Plan {
    /// Its connections, of HTTP/1.1.
    async fn lanes(&self) -> Result<Vec<Lane>> {
        Protocol::Http1
            .open(self.address, self.connections, 1)
            .await
    }
}

async fn run(
    lanes: Vec<Lane>,
    plan: Plan,
    requests: &[Request],
    rate: Option<f64>,
) -> Result<Done> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (at, lane) in lanes.into_iter().enumerate() {
        let own = requests.iter().skip(at).step_by(plan.connections);
        let worker = Worker {
            lane,
            requests: own.cloned().collect(),
            serial: (plan.round * CONNECTIONS_MAX + at as u64) * SERIALS_EACH,
            count: plan.requests / plan.connections,
        };
        let pace = rate.map(|rate| Pace {
            started,
            first: Duration::from_secs_f64(at as f64 / rate),
            every: Duration::from_secs_f64(plan.connections as f64 / rate),
        });
        tasks.spawn(worker.run(pace));
    }
    let mut done = Done::default();
    while let Some(part) = tasks.join_next().await {
        let part = part.map_err(std::io::Error::other)??;
        done.requests += part.requests;
        done.events += part.events;
        done.latencies_us.extend(part.latencies_us);
    }
    done.seconds = started.elapsed().as_secs_f64();
    done.latencies_us.sort_unstable();
    Ok(done)
}

/// When a lane's requests are due.
struct Pace {
    started: Instant,
    first: Duration,
    every: Duration,
}

impl Pace {
    async fn due(&self, at: usize) -> Instant {
        let due = self.started + self.first + self.every.mul_f64(at as f64);
        tokio::time::sleep_until(due - SPUN).await;
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        due
    }
}

/// One lane with what is sent on it.
struct Worker {
    lane: Lane,
    requests: Vec<Request>,
    serial: u64,
    count: usize,
}

impl Worker {
    async fn run(mut self, pace: Option<Pace>) -> Result<Done> {
        let mut done = Done::default();
        let kinds = self.requests.len();
        for at in 0..self.count {
            let request = &mut self.requests[at % kinds];
            let events = request.events();
            let due = match &pace {
                Some(pace) => Some(pace.due(at).await),
                None => None,
            };
            self.lane.exchange(request, &mut self.serial).await?;
            if let Some(due) = due {
                let us = due.elapsed().as_micros();
                done.latencies_us
                    .push(u64::try_from(us).unwrap_or(u64::MAX));
            }
            done.requests += 1;
            done.events += events;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_read_off_the_sorted_latencies() {
        let latencies: Vec<u64> = (1..=1_000).map(|ms| ms * 1_000).collect();
        assert_eq!(percentile_ms(&latencies, 0.5), 501.0);
        assert_eq!(percentile_ms(&latencies, 0.99), 991.0);
        assert_eq!(percentile_ms(&latencies, 1.0), 1_000.0);
        assert_eq!(percentile_ms(&[], 0.5), 0.0);
    }
}
