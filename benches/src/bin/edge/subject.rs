//! One server with the load it gets, and what that cost, round by round.

use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tidegate_benches::gateway::Gateway;
use tidegate_benches::load::{self, CONNECTIONS, Done, Plan};
use tidegate_benches::process::Server;
use tidegate_benches::protocol::Protocol;
use tidegate_benches::run::Fallible;
use tidegate_benches::workload::Request;

/// Kafka has caught up once the cursor stood still at the end for so long.
const LOOK: Duration = Duration::from_millis(50);
/// Rounds of one subject, at most.
const ROUNDS_MAX: u64 = 1_000;

/// A server under load. Several subjects may share one: they take turns.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) target: Rc<Target>,
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
    /// Keeps its message ids apart from those of the others that share the server.
    pub(crate) turn: u64,
    /// Streams that share a connection, where the protocol has them.
    pub(crate) streams: usize,
    pub(crate) requests: Vec<Request>,
    /// Requests in a round.
    pub(crate) count: usize,
    pub(crate) measured: Measured,
}

/// What the rounds showed.
#[derive(Default)]
pub(crate) struct Measured {
    /// CPU microseconds per request or event, round by round.
    pub(crate) cost_us: Vec<f64>,
    /// Requests a second, the most of all rounds.
    pub(crate) rate: f64,
    pub(crate) journal: Journal,
}

/// What the journal was given.
#[derive(Clone, Copy, Default)]
pub(crate) struct Journal {
    pub(crate) records: f64,
    pub(crate) batches: f64,
    pub(crate) bytes: f64,
}

/// What is measured.
pub(crate) enum Target {
    Nginx(Server),
    Gateway(Gateway),
}

impl Target {
    fn server(&self) -> &Server {
        match self {
            Self::Nginx(server) => server,
            Self::Gateway(gateway) => &gateway.server,
        }
    }

    pub(crate) const fn gateway(&self) -> Option<&Gateway> {
        match self {
            Self::Nginx(_) => None,
            Self::Gateway(gateway) => Some(gateway),
        }
    }

    fn accepted(&self) -> Fallible<Option<f64>> {
        Ok(self.gateway().map(Gateway::accepted).transpose()?)
    }

    fn journal(&self) -> Fallible<Journal> {
        let Some(gateway) = self.gateway() else {
            return Ok(Journal::default());
        };
        Ok(Journal {
            records: gateway.metric("tidegate_journal_records_total")?,
            batches: gateway.metric("tidegate_journal_batches_total")?,
            bytes: gateway.metric("tidegate_journal_bytes_total")?,
        })
    }
}

impl Subject {
    /// The first round warms up and is a tenth as long; every other one is printed.
    pub(crate) async fn warm_or_measure(
        &mut self,
        round: u64,
        out: &mut impl Write,
    ) -> Fallible<()> {
        if round == 0 {
            self.round(round, self.count / 10).await?;
            return Ok(());
        }
        let before = self.target.journal()?;
        let (cost, done) = self.round(round, self.count).await?;
        let after = self.target.journal()?;
        let units = done.events.max(done.requests) as f64 / done.seconds;
        self.measured.cost_us.push(cost);
        self.measured.rate = self.measured.rate.max(done.rate());
        self.measured.journal.records += after.records - before.records;
        self.measured.journal.batches += after.batches - before.batches;
        self.measured.journal.bytes += after.bytes - before.bytes;
        writeln!(
            out,
            "round {round}  {:<8} {cost:7.2} CPU s per million  {units:9.0} a second  {:3.0} % of its core",
            self.name,
            cost * units / 1e4
        )?;
        Ok(())
    }

    /// One round's CPU microseconds per request (nginx) or event, without opening connections.
    async fn round(&self, round: u64, count: usize) -> Fallible<(f64, Done)> {
        let plan = Plan {
            address: self.address,
            connections: CONNECTIONS,
            requests: count,
            round: self.turn * ROUNDS_MAX + round,
        };
        let lanes = self.protocol.open(self.address, CONNECTIONS, self.streams);
        let lanes = lanes.await?;
        let accepted = self.target.accepted()?;
        let before = self.target.server().cpu_seconds()?;
        let done = load::closed_on(lanes, plan, &self.requests).await?;
        self.drained()?;
        let used = self.target.server().cpu_seconds()? - before;
        if let (Some(before), Some(after)) = (accepted, self.target.accepted()?)
            && (after - before - done.events as f64).abs() > 0.5
        {
            return Err(format!("{} events sent, {} accepted", done.events, after - before).into());
        }
        let units = done.events.max(done.requests) as f64;
        Ok((used * 1e6 / units, done))
    }

    /// Waits until Kafka has everything, where it is forwarded to: that work counts too.
    fn drained(&self) -> Fallible<()> {
        if let (Some(gateway), "kafka") = (self.target.gateway(), self.name) {
            while gateway.metric("tidegate_cursor_lag_records{cursor=\"kafka\"}")? > 0.0 {
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// The best of all rounds.
    pub(crate) fn best(&self) -> f64 {
        let costs = self.measured.cost_us.iter().copied();
        costs.fold(f64::INFINITY, f64::min)
    }

    /// Ends the server with the last of its subjects.
    pub(crate) fn stop(self) -> Fallible<()> {
        match Rc::into_inner(self.target) {
            Some(Target::Nginx(server)) => Ok(server.stop()?),
            Some(Target::Gateway(gateway)) => Ok(gateway.server.stop()?),
            None => Ok(()),
        }
    }
}
