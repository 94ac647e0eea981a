//! `make bench-edge`: the whole gateway beside nginx, CPU seconds per million requests or events.
//! Servers run on one core, this generator on another (benches/edge.sh pins it).

use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tidegate_benches::arguments::{Measured, Parts};
use tidegate_benches::disk;
use tidegate_benches::gateway::{Gateway, Options};
use tidegate_benches::load::{self, CONNECTIONS, Done, Plan, percentile_ms};
use tidegate_benches::nginx;
use tidegate_benches::process::Server;
use tidegate_benches::run::{Fallible, run};
use tidegate_benches::segments::segments;
use tidegate_benches::workload::{PREPARED, Request, Shape, batches, gets, single};

const BATCH: usize = 50;
/// Kafka has caught up once the cursor stood still at the end for so long.
const LOOK: Duration = Duration::from_millis(50);

/// CPU of the gateway beside nginx.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    measured: Measured,
    #[command(flatten)]
    parts: Parts<Part>,
    /// Rounds; the best counts, all are printed.
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Requests in a round.
    #[arg(long, default_value_t = 150_000)]
    requests: usize,
    /// Segments in the catalog.
    #[arg(long, default_value_t = 100)]
    segments: usize,
    /// Brokers to forward to; without it there is no Kafka figure.
    #[arg(long)]
    kafka: Option<String>,
}

fn main() -> Fallible<()> {
    run(measure)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The yardstick.
    Nginx,
    /// One event a request.
    Single,
    /// Many events a request.
    Batch,
    /// One event a request, forwarded to Kafka.
    Kafka,
    /// The time to a durable ack; needs `single`.
    Latency,
}

/// One server with the load it gets.
struct Subject {
    name: &'static str,
    server: Target,
    address: SocketAddr,
    requests: Vec<Request>,
    count: usize,
    /// CPU microseconds per request or event, round by round.
    cost_us: Vec<f64>,
    rate: f64,
}

enum Target {
    Nginx(Server),
    Gateway(Box<Gateway>),
}

impl Target {
    fn server(&self) -> &Server {
        match self {
            Self::Nginx(server) => server,
            Self::Gateway(gateway) => &gateway.server,
        }
    }
}

async fn measure(arguments: &Arguments) -> Fallible<()> {
    let mut subjects = subjects(arguments)?;
    let mut out = stdout().lock();
    for round in 0..=arguments.rounds {
        for subject in &mut subjects {
            // The first round warms up and is a tenth as long.
            let count = if round == 0 {
                subject.count / 10
            } else {
                subject.count
            };
            let (cost, done) = subject.round(round, count).await?;
            if round > 0 {
                subject.cost_us.push(cost);
                subject.rate = subject.rate.max(done.rate());
                writeln!(
                    out,
                    "round {round}  {:<8} {cost:7.2} CPU s per million  {:9.0} a second",
                    subject.name,
                    done.rate() * done.events.max(done.requests) as f64 / done.requests as f64
                )?;
            }
        }
    }
    summary(&mut out, &subjects)?;
    journals(&mut out, &subjects)?;
    for subject in subjects {
        if subject.name == "single" && arguments.parts.wants(&Part::Latency) {
            latency(&mut out, arguments, &subject).await?;
        }
        match subject.server {
            Target::Nginx(server) => server.stop()?,
            Target::Gateway(gateway) => gateway.server.stop()?,
        }
    }
    Ok(())
}

impl Arguments {
    fn gateway(&self, name: &str, kafka: Option<String>) -> Fallible<(Target, SocketAddr)> {
        let dir = self.measured.fresh(name)?;
        let options = Options {
            program: self.measured.program.clone(),
            segments: segments(self.segments),
            kafka,
            disk_budget: "12GiB",
            ..Options::default()
        };
        let gateway = Gateway::start(&dir, &options)?;
        let edge = gateway.edge;
        Ok((Target::Gateway(Box::new(gateway)), edge))
    }
}

fn subjects(arguments: &Arguments) -> Fallible<Vec<Subject>> {
    let shape = Shape::default();
    let subject = |name, (server, address), requests, count| Subject {
        name,
        server,
        address,
        requests,
        count,
        cost_us: Vec::new(),
        rate: 0.0,
    };
    let count = arguments.requests;
    let mut subjects = Vec::new();
    if arguments.parts.wants(&Part::Nginx) {
        let (server, address) = nginx::start(&arguments.measured.dir.join("nginx"))?;
        let requests = gets(shape, PREPARED, nginx::GIF);
        let target = (Target::Nginx(server), address);
        subjects.push(subject("nginx", target, requests, count));
    }
    if arguments.parts.wants(&Part::Single) {
        let target = arguments.gateway("single", None)?;
        let requests = single(shape, PREPARED);
        subjects.push(subject("single", target, requests, count));
    }
    if arguments.parts.wants(&Part::Batch) {
        let target = arguments.gateway("batch", None)?;
        let requests = batches(shape, PREPARED / 2, BATCH);
        subjects.push(subject("batch", target, requests, count / 25));
    }
    if let Some(brokers) = arguments
        .kafka
        .clone()
        .filter(|_| arguments.parts.wants(&Part::Kafka))
    {
        let target = arguments.gateway("kafka", Some(brokers))?;
        let requests = single(shape, PREPARED);
        subjects.push(subject("kafka", target, requests, count));
    }
    Ok(subjects)
}

impl Subject {
    /// One round's CPU microseconds per request (nginx) or event.
    async fn round(&self, round: u64, count: usize) -> Fallible<(f64, Done)> {
        let plan = Plan {
            address: self.address,
            connections: CONNECTIONS,
            requests: count,
            round,
        };
        let before = self.server.server().cpu_seconds()?;
        let accepted = self.accepted()?;
        let done = load::closed(plan, &self.requests).await?;
        self.drained()?;
        let used = self.server.server().cpu_seconds()? - before;
        if let (Some(before), Some(after)) = (accepted, self.accepted()?)
            && (after - before - done.events as f64).abs() > 0.5
        {
            return Err(format!("{} events sent, {} accepted", done.events, after - before).into());
        }
        let units = done.events.max(done.requests) as f64;
        Ok((used * 1e6 / units, done))
    }

    fn accepted(&self) -> Fallible<Option<f64>> {
        match &self.server {
            Target::Nginx(_) => Ok(None),
            Target::Gateway(gateway) => Ok(Some(gateway.accepted()?)),
        }
    }

    /// Waits until Kafka has everything, where it is forwarded to: that work counts too.
    fn drained(&self) -> Fallible<()> {
        if let (Target::Gateway(gateway), "kafka") = (&self.server, self.name) {
            while gateway.metric("tidegate_cursor_lag_records{cursor=\"kafka\"}")? > 0.0 {
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    fn best(&self) -> f64 {
        self.cost_us.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

fn summary(out: &mut impl Write, subjects: &[Subject]) -> Fallible<()> {
    let nginx = subjects.iter().find(|subject| subject.name == "nginx");
    writeln!(
        out,
        "\nCPU s per million, best of all rounds (ratio to nginx)"
    )?;
    for subject in subjects {
        let ratio = nginx.map_or(f64::NAN, |nginx| subject.best() / nginx.best());
        let all: Vec<String> = subject
            .cost_us
            .iter()
            .map(|us| format!("{us:.2}"))
            .collect();
        writeln!(
            out,
            "{:<8} {:7.2}  ({ratio:.2}x)  all: {}",
            subject.name,
            subject.best(),
            all.join(" ")
        )?;
    }
    Ok(())
}

/// What the gateways' journals were given.
fn journals(out: &mut impl Write, subjects: &[Subject]) -> Fallible<()> {
    for subject in subjects {
        if let Target::Gateway(gateway) = &subject.server {
            let records = gateway.metric("tidegate_journal_records_total")?;
            let batches = gateway.metric("tidegate_journal_batches_total")?;
            let bytes = gateway.metric("tidegate_journal_bytes_total")?;
            writeln!(
                out,
                "{:<8} {:.0} bytes a record, {:.1} records a batch",
                subject.name,
                bytes / records,
                records / batches
            )?;
        }
    }
    Ok(())
}

/// The open loop at half the highest rate, beside the bare disk.
async fn latency(out: &mut impl Write, arguments: &Arguments, subject: &Subject) -> Fallible<()> {
    let rate = subject.rate / 2.0;
    let plan = Plan {
        address: subject.address,
        connections: CONNECTIONS,
        requests: arguments.requests,
        round: arguments.rounds + 1,
    };
    let disk = disk::fdatasync_us(&arguments.measured.dir, 2_000)?;
    let done = load::open(plan, &subject.requests, rate).await?;
    let after = disk::fdatasync_us(&arguments.measured.dir, 2_000)?;
    writeln!(
        out,
        "\ndurable ack at {rate:.0} requests a second, open loop, in ms"
    )?;
    let mut line = |name: &str, sorted: &[u64]| {
        writeln!(
            out,
            "{name:<22} p50 {:6.2}  p99 {:6.2}  p99.9 {:6.2}  max {:6.2}",
            percentile_ms(sorted, 0.5),
            percentile_ms(sorted, 0.99),
            percentile_ms(sorted, 0.999),
            percentile_ms(sorted, 1.0)
        )
    };
    line("fdatasync loop, before", &disk)?;
    line("ack", &done.latencies_us)?;
    line("fdatasync loop, after", &after)?;
    Ok(())
}
