//! `make bench-scale`: memory of a live visitor, what many of them cost, and how long a restart
//! after kill -9 takes.

use std::io::{Write, stdout};

use clap::{Parser, ValueEnum};
use tidegate_benches::arguments::{Measured, Parts};
use tidegate_benches::gateway::{Gateway, Options};
use tidegate_benches::load::{self, CONNECTIONS, Plan};
use tidegate_benches::process::MIB;
use tidegate_benches::run::{Fallible, run};
use tidegate_benches::segments::{aggregate_segments, segments};
use tidegate_benches::workload::{Request, Shape, batches, single};
use tidegate_collector::clock::{Clock, SystemClock};

const FEW_VISITORS: usize = 1_000;
const BATCH: usize = 50;

/// Memory, cost and restart with many visitors.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    measured: Measured,
    #[command(flatten)]
    parts: Parts<Part>,
    /// Live visitors.
    #[arg(long, default_value_t = 1_000_000)]
    visitors: usize,
    /// How many records a profile's row may be behind, which is also how many there are between
    /// two writes of a profile that is always busy, and in the tail at the kill.
    #[arg(long, default_value_t = 5_000_000)]
    lag_records: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Memory before anybody comes.
    Idle,
    /// Memory and CPU of many and of few.
    Visitors,
    /// A start after kill -9.
    Restart,
}

fn main() -> Fallible<()> {
    run(measure)
}

async fn measure(arguments: &Arguments) -> Fallible<()> {
    let mut out = stdout().lock();
    if arguments.parts.wants(&Part::Idle) {
        idle(&mut out, arguments)?;
    }
    if arguments.parts.wants(&Part::Visitors) {
        let many = visitors(&mut out, arguments, arguments.visitors).await?;
        let few = visitors(&mut out, arguments, FEW_VISITORS).await?;
        writeln!(
            out,
            "CPU per event, {} visitors to {FEW_VISITORS}: {:.2}x",
            arguments.visitors,
            many / few
        )?;
    }
    if arguments.parts.wants(&Part::Restart) {
        restart(&mut out, arguments).await?;
    }
    Ok(())
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            program: self.measured.program.clone(),
            segments: aggregate_segments(),
            lag_records: Some(self.lag_records as u64),
            disk_budget: "24GiB",
            ..Options::default()
        }
    }
}

fn idle(out: &mut impl Write, arguments: &Arguments) -> Fallible<()> {
    for count in [0, 100] {
        let options = Options {
            segments: segments(count),
            ..arguments.options()
        };
        let gateway = Gateway::start(&arguments.measured.fresh("idle")?, &options)?;
        let rss = gateway.server.rss_bytes()? as f64 / MIB;
        writeln!(out, "idle with {count} segments: {rss:.1} MiB resident")?;
        gateway.server.stop()?;
    }
    Ok(())
}

/// Brings the visitors to life, and goes on until their rows begin to be due; then measures as many
/// events as it takes until every row was due again. Gives the CPU microseconds per event.
async fn visitors(out: &mut impl Write, arguments: &Arguments, count: usize) -> Fallible<f64> {
    let shape = Shape {
        visitors: count,
        ..Shape::default()
    };
    let gateway = Gateway::start(&arguments.measured.fresh("visitors")?, &arguments.options())?;
    let idle = gateway.server.rss_bytes()?;
    let requests = single(shape, count.max(8 * FEW_VISITORS));
    let (events, cycle) = (arguments.visitors, arguments.lag_records);
    let first = round(&gateway, &requests, events, 0).await?;
    memory(out, &gateway, idle, count, "one event each")?;
    let second = round(&gateway, &requests, events, 1).await?;
    memory(out, &gateway, idle, count, "two events each")?;
    let until_due = cycle.saturating_sub(2 * events);
    round(&gateway, &requests, until_due, 2).await?;
    let before = gateway.metric("tidegate_checkpoint_rows_total")?;
    let cost = round(&gateway, &requests, cycle, 3).await?;
    let written = gateway.metric("tidegate_checkpoint_rows_total")? - before;
    memory(out, &gateway, idle, count, "after the cycle")?;
    writeln!(
        out,
        "{count} visitors: {first:.2} us CPU for the first event, {second:.2} us for the second, \
         {cost:.2} us over a cycle of {cycle}, which wrote {written} profiles"
    )?;
    gateway.server.stop()?;
    Ok(cost)
}

async fn round(
    gateway: &Gateway,
    requests: &[Request],
    events: usize,
    round: u64,
) -> Fallible<f64> {
    if events == 0 {
        return Ok(0.0);
    }
    let plan = Plan {
        address: gateway.edge,
        connections: CONNECTIONS,
        requests: events,
        round,
    };
    let before = gateway.server.cpu_seconds()?;
    let done = load::closed(plan, requests).await?;
    Ok((gateway.server.cpu_seconds()? - before) * 1e6 / done.events as f64)
}

fn memory(
    out: &mut impl Write,
    gateway: &Gateway,
    idle: u64,
    count: usize,
    when: &str,
) -> Fallible<()> {
    let rss = gateway.server.rss_bytes()?;
    writeln!(
        out,
        "{count} visitors, {when}: {:.1} MiB resident, {:.0} bytes a visitor over idle",
        rss as f64 / MIB,
        rss.saturating_sub(idle) as f64 / count as f64
    )?;
    Ok(())
}

/// Fills the journal up to the checkpoint's lag, kills the gateway, and times the next start.
async fn restart(out: &mut impl Write, arguments: &Arguments) -> Fallible<()> {
    let dir = arguments.measured.fresh("restart")?;
    let gateway = Gateway::start(&dir, &arguments.options())?;
    let visitors = (arguments.lag_records / BATCH).min(arguments.visitors);
    let shape = Shape {
        visitors,
        ..Shape::default()
    };
    let prepared = visitors.min(20_000);
    let requests = batches(shape, prepared, BATCH);
    round(&gateway, &requests, arguments.lag_records / BATCH, 0).await?;
    let end = gateway.metric("tidegate_journal_durable_offset")?;
    let records = end - gateway.metric("tidegate_checkpoint_offset")?;
    gateway.server.kill()?;
    let clock = SystemClock::default();
    let gateway = Gateway::start(&dir, &arguments.options())?;
    let seconds = clock.monotonic_us() as f64 / 1e6;
    writeln!(
        out,
        "restart after kill -9 with {records} records since the checkpoint: ready in {seconds:.1} s, {:.0} records a second",
        records / seconds
    )?;
    gateway.server.stop()?;
    Ok(())
}
