//! `make bench-connections`: what connections cost that do nothing: the memory of idle ones over
//! TLS, and what a good client notices of ten thousand slow heads (slowloris). The gateway runs on
//! one core, this generator on another.

mod idle;
mod slow;

use std::io::{Write, stdout};

use clap::{Parser, ValueEnum};
use tidegate_benches::arguments::{Measured, Parts};
use tidegate_benches::descriptors;
use tidegate_benches::gateway::{Gateway, Options};
use tidegate_benches::run::{Fallible, run};

/// Memory of idle connections over TLS, and a good client beside slow heads.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    measured: Measured,
    #[command(flatten)]
    parts: Parts<Part>,
    /// Connections that are idle, or slow.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Seconds that the good client goes on.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Idle connections over TLS.
    Idle,
    /// Heads that arrive a byte at a time.
    Slow,
}

fn main() -> Fallible<()> {
    run(measure)
}

async fn measure(arguments: &Arguments) -> Fallible<()> {
    descriptors::allow(arguments.connections)?;
    let mut out = stdout().lock();
    if arguments.parts.wants(&Part::Idle) {
        idle::measure(&mut out, arguments).await?;
    }
    if arguments.parts.wants(&Part::Slow) {
        slow::measure(&mut out, arguments).await?;
    }
    Ok(out.flush()?)
}

impl Arguments {
    fn gateway(&self, name: &str) -> Fallible<Gateway> {
        let options = Options {
            program: self.measured.program.clone(),
            secure: true,
            disk_budget: "1GiB",
            ..Options::default()
        };
        Ok(Gateway::start(&self.measured.fresh(name)?, &options)?)
    }
}

/// Connections that the gateway has open.
fn open(gateway: &Gateway) -> Fallible<f64> {
    Ok(gateway.metric("tidegate_edge_connections ")?)
}
