//! `make bench-overload`: three times the load that the gateway can take, open loop. Each arrival
//! takes a free connection or opens one; its time counts from when it was due (no coordinated
//! omission). Then the load goes, and it is seen how soon all are accepted again.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Write, stdout};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use tidegate_benches::arguments::Measured;
use tidegate_benches::connection::Connection;
use tidegate_benches::gateway::{Gateway, Options};
use tidegate_benches::load::{self, CONNECTIONS, Plan, percentile_ms};
use tidegate_benches::process::MIB;
use tidegate_benches::run::{Fallible, run};
use tidegate_benches::segments::segments;
use tidegate_benches::workload::{PREPARED, Request, Shape, batches, single};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections that the open loop opens at most; an arrival beyond them is not sent and counted.
const CONNECTIONS_MAX: usize = 8_000;
/// Message ids of one round are apart from those of the others.
const SERIALS_EACH: u64 = 1_000_000_000_000;

/// Goodput, latency and memory at several times the capacity.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    measured: Measured,
    /// Events in a request.
    #[arg(long, default_value_t = 10)]
    batch: usize,
    /// Times the closed loop's rate.
    #[arg(long, default_value_t = 3.0)]
    times: f64,
    /// Seconds of overload.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

fn main() -> Fallible<()> {
    run(measure)
}

async fn measure(arguments: &Arguments) -> Fallible<()> {
    let options = Options {
        program: arguments.measured.program.clone(),
        segments: segments(100),
        disk_budget: "24GiB",
        ..Options::default()
    };
    let gateway = Gateway::start(&arguments.measured.fresh("overload")?, &options)?;
    let requests = if arguments.batch == 1 {
        single(Shape::default(), PREPARED)
    } else {
        batches(Shape::default(), PREPARED / 8, arguments.batch)
    };
    let plan = |round, requests| Plan {
        address: gateway.edge,
        connections: CONNECTIONS,
        requests,
        round,
    };
    let warm = load::closed(plan(0, 20_000), &requests).await?;
    let count = (warm.rate() * 5.0) as usize / CONNECTIONS * CONNECTIONS;
    let peak = load::closed(plan(1, count), &requests).await?.rate();
    let mut out = stdout().lock();
    writeln!(out, "{} events a request", arguments.batch)?;
    writeln!(out, "closed loop: {peak:.0} requests a second accepted")?;
    let before = gateway.server.rss_bytes()? as f64 / MIB;
    let offered = peak * arguments.times;
    let over = open(&gateway, &requests, offered, arguments.seconds, 2).await;
    over.print(&mut out, peak)?;
    let during = gateway.server.rss_bytes()? as f64 / MIB;
    writeln!(
        out,
        "memory {before:.0} MiB before, {during:.0} MiB at the end"
    )?;
    let mut calm = open(&gateway, &requests, peak / 2.0, 1, 3).await;
    let mut seconds = 1;
    while calm.refused > 0 && seconds < 30 {
        calm = open(&gateway, &requests, peak / 2.0, 1, 3 + seconds).await;
        seconds += 1;
    }
    writeln!(
        out,
        "at half the rate nobody is refused in second {seconds} after"
    )?;
    gateway.server.stop()?;
    Ok(())
}

/// What became of the arrivals.
#[derive(Debug, Default)]
struct Outcome {
    seconds: f64,
    due: u64,
    accepted_us: Vec<u64>,
    refused_us: Vec<u64>,
    refused: u64,
    failed: u64,
    unsent: u64,
}

impl Outcome {
    fn print(&self, out: &mut impl Write, peak: f64) -> std::io::Result<()> {
        let goodput = self.accepted_us.len() as f64 / self.seconds;
        writeln!(
            out,
            "offered {:.0} a second: accepted {goodput:.0} ({:.0} % of the closed loop), refused {:.0}, not sent {:.0}, failed {}",
            self.due as f64 / self.seconds,
            goodput / peak * 100.0,
            self.refused as f64 / self.seconds,
            self.unsent as f64 / self.seconds,
            self.failed
        )?;
        for (name, us) in [
            ("accepted", &self.accepted_us),
            ("refused", &self.refused_us),
        ] {
            writeln!(
                out,
                "{name:<9} p50 {:7.1}  p99 {:7.1}  max {:7.1} ms",
                percentile_ms(us, 0.5),
                percentile_ms(us, 0.99),
                percentile_ms(us, 1.0)
            )?;
        }
        Ok(())
    }
}

/// What the arrivals share.
#[derive(Default)]
struct Pool {
    free: RefCell<Vec<Connection>>,
    open: Cell<usize>,
    serial: Cell<u64>,
    outcome: RefCell<Outcome>,
}

impl Pool {
    /// A place to send by: a free connection, or leave to open one. None: there are enough.
    fn place(&self) -> Option<Option<Connection>> {
        let free = self.free.borrow_mut().pop();
        if free.is_none() {
            if self.open.get() >= CONNECTIONS_MAX {
                return None;
            }
            self.open.set(self.open.get() + 1);
        }
        Some(free)
    }

    fn stamped(&self, request: &mut Request) -> Vec<u8> {
        let mut serial = self.serial.get();
        let bytes = request.stamped(&mut serial).to_vec();
        self.serial.set(serial);
        bytes
    }

    /// Sends one request that was due at `due`, and notes how it ended.
    async fn send(
        &self,
        connection: Option<Connection>,
        address: SocketAddr,
        bytes: Vec<u8>,
        due: Instant,
    ) {
        let answered = exchange(connection, address, &bytes).await;
        let us = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut outcome = self.outcome.borrow_mut();
        match answered {
            Ok((connection, accepted)) => {
                self.free.borrow_mut().push(connection);
                if accepted {
                    outcome.accepted_us.push(us);
                } else {
                    outcome.refused += 1;
                    outcome.refused_us.push(us);
                }
            }
            Err(_) => {
                self.open.set(self.open.get() - 1);
                outcome.failed += 1;
            }
        }
    }
}

/// True where the answer is a success.
async fn exchange(
    connection: Option<Connection>,
    address: SocketAddr,
    bytes: &[u8],
) -> std::io::Result<(Connection, bool)> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => Connection::open(address).await?,
    };
    match connection.exchange(bytes).await.map(|_| ()) {
        Ok(()) => Ok((connection, true)),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok((connection, false)),
        Err(error) => Err(error),
    }
}

async fn open(
    gateway: &Gateway,
    requests: &[Request],
    rate: f64,
    seconds: u64,
    round: u64,
) -> Outcome {
    let pool = Rc::new(Pool::default());
    pool.serial.set(round * SERIALS_EACH);
    let started = Instant::now();
    let total = (rate * seconds as f64) as u64;
    let mut kinds = requests.iter().cycle();
    let mut tasks = JoinSet::new();
    let mut at = 0;
    while at < total {
        let due_by_now = (started.elapsed().as_secs_f64() * rate) as u64;
        while at < due_by_now.min(total) {
            let due = started + Duration::from_secs_f64(at as f64 / rate);
            at += 1;
            pool.outcome.borrow_mut().due += 1;
            let (Some(place), Some(request)) = (pool.place(), kinds.next()) else {
                pool.outcome.borrow_mut().unsent += 1;
                continue;
            };
            let bytes = pool.stamped(&mut request.clone());
            let (pool, address) = (Rc::clone(&pool), gateway.edge);
            tasks.spawn_local(async move { pool.send(place, address, bytes, due).await });
        }
        while tasks.try_join_next().is_some() {}
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while tasks.join_next().await.is_some() {}
    let mut outcome = pool.outcome.take();
    outcome.seconds = started.elapsed().as_secs_f64();
    outcome.accepted_us.sort_unstable();
    outcome.refused_us.sort_unstable();
    outcome
}
