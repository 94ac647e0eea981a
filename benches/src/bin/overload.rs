//! `make bench-overload`: more load than the gateway can take, in an open loop, and what becomes of
//! it; the same with nginx, which has a quarter of its core. Capacity is what a closed loop gets
//! through. Then the load goes, and it is seen how soon nobody is refused any more.

use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::Path;

use clap::{Parser, ValueEnum};
use tidegate_benches::arguments::{Measured, Parts};
use tidegate_benches::gateway::{Gateway, Options};
use tidegate_benches::load::{self, CONNECTIONS, Plan, percentile_ms};
use tidegate_benches::nginx;
use tidegate_benches::open::{self, Offer, Outcome};
use tidegate_benches::process::{MIB, Server};
use tidegate_benches::run::{Fallible, run};
use tidegate_benches::segments::segments;
use tidegate_benches::workload::{PREPARED, Request, Shape, batches, gets, single};

/// Message ids of one round are apart from those of the others.
const SERIALS_EACH: u64 = 1_000_000_000_000;
/// Seconds after the load in which it is looked whether anybody is still refused.
const CALM_MAX: u64 = 30;
/// Busy loops beside nginx on its core: with the whole of it, it would take as much as one core can
/// offer, and could not be overloaded.
const BESIDE_NGINX: usize = 3;
const BUSY_LOOP: [&str; 2] = ["-c", "while :; do :; done"];

/// Goodput, latency and memory at several times the capacity.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    measured: Measured,
    #[command(flatten)]
    parts: Parts<Part>,
    /// Events in a request of the part `batch`.
    #[arg(long, default_value_t = 10)]
    batch: usize,
    /// Times the closed loop's rate.
    #[arg(long, value_delimiter = ',', default_values_t = [0.5, 1.0, 3.0])]
    times: Vec<f64>,
    /// Seconds of each.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

/// What is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The gateway, several events a request.
    Batch,
    /// The gateway, one event a request.
    Single,
    /// nginx, a GIF a request.
    Nginx,
}

/// A running server and what it is sent.
struct Subject {
    server: Server,
    address: SocketAddr,
    requests: Vec<Request>,
    beside: Vec<Server>,
}

fn main() -> Fallible<()> {
    run(measure)
}

async fn measure(arguments: &Arguments) -> Fallible<()> {
    let mut out = stdout().lock();
    for part in Part::value_variants() {
        if arguments.parts.wants(part) {
            let mut subject = subject(arguments, *part)?;
            writeln!(out, "{part:?}")?;
            subject.measure(arguments, &mut out).await?;
            for busy_loop in subject.beside {
                busy_loop.kill()?;
            }
            subject.server.stop()?;
        }
    }
    Ok(())
}

fn subject(arguments: &Arguments, part: Part) -> Fallible<Subject> {
    let shape = Shape::default();
    let requests = match part {
        Part::Batch => batches(shape, PREPARED / 8, arguments.batch),
        Part::Single => single(shape, PREPARED),
        Part::Nginx => gets(shape, PREPARED, nginx::GIF),
    };
    let dir = &arguments.measured.dir;
    let mut beside = Vec::new();
    let (server, address) = if part == Part::Nginx {
        for _ in 0..BESIDE_NGINX {
            beside.push(Server::start(
                Path::new("/bin/sh"),
                &BUSY_LOOP,
                &dir.join("busy.log"),
            )?);
        }
        nginx::start(&dir.join("nginx"))?
    } else {
        let options = Options {
            program: arguments.measured.program.clone(),
            segments: segments(100),
            disk_budget: "24GiB",
            ..Options::default()
        };
        let gateway = Gateway::start(&arguments.measured.fresh("overload")?, &options)?;
        (gateway.server, gateway.edge)
    };
    Ok(Subject {
        server,
        address,
        requests,
        beside,
    })
}

impl Subject {
    async fn measure(&mut self, arguments: &Arguments, out: &mut impl Write) -> Fallible<()> {
        let plan = |round, requests| Plan {
            address: self.address,
            connections: CONNECTIONS,
            requests,
            round,
        };
        let warm = load::closed(plan(0, 20_000), &self.requests).await?;
        let count = (warm.rate() * 5.0) as usize / CONNECTIONS * CONNECTIONS;
        let peak = load::closed(plan(1, count), &self.requests).await?.rate();
        writeln!(
            out,
            "closed loop {peak:.0} requests a second, {:.1} MiB",
            self.mib()?
        )?;
        writeln!(
            out,
            " offered      times  goodput  refused  not sent  failed   accepted p50      p99      max    refused p50      p99   sent late p99  connections     MiB"
        )?;
        let mut round = 2;
        for times in &arguments.times {
            let outcome = self.open(peak * times, arguments.seconds, &mut round)?;
            self.row(out, *times, peak, &outcome)?;
        }
        let mut seconds = 1;
        while !self
            .open(peak / 2.0, 1.0, &mut round)?
            .refused_us
            .is_empty()
            && seconds < CALM_MAX
        {
            seconds += 1;
        }
        writeln!(
            out,
            "at half the rate nobody is refused in second {seconds} after\n"
        )?;
        Ok(())
    }

    fn open(&mut self, rate: f64, seconds: f64, round: &mut u64) -> Fallible<Outcome> {
        let offer = Offer {
            address: self.address,
            rate,
            seconds,
            serial: *round * SERIALS_EACH,
        };
        *round += 1;
        Ok(open::run(offer, &mut self.requests)?)
    }

    fn row(&self, out: &mut impl Write, times: f64, peak: f64, outcome: &Outcome) -> Fallible<()> {
        let ms = |us: &[u64], part| percentile_ms(us, part);
        writeln!(
            out,
            "{:8.0}/s {times:6.1} x {:6.1} % {:6.1} % {:7.1} % {:7} {:14.1} {:8.1} {:8.1} {:14.1} {:8.1} {:15.1} {:12} {:7.0}",
            outcome.due as f64 / outcome.seconds,
            outcome.goodput() / peak * 100.0,
            outcome.percent(outcome.refused_us.len() as u64),
            outcome.percent(outcome.unsent),
            outcome.failed,
            ms(&outcome.accepted_us, 0.5),
            ms(&outcome.accepted_us, 0.99),
            ms(&outcome.accepted_us, 1.0),
            ms(&outcome.refused_us, 0.5),
            ms(&outcome.refused_us, 0.99),
            outcome.late_ms(),
            outcome.opened,
            self.mib()?,
        )?;
        Ok(())
    }

    fn mib(&self) -> Fallible<f64> {
        Ok(self.server.rss_bytes()? as f64 / MIB)
    }
}
