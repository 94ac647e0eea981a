//! `make bench-edge`: the whole gateway beside nginx, and one version of HTTP beside the others, in
//! CPU seconds per million requests or events. Servers run on one core, this generator on another
//! (benches/build.sh pins it).

mod subject;
mod subjects;
mod report;
mod latency;

use std::io::{Write, stdout};

use clap::{Parser, ValueEnum};
use tidegate_benches::arguments::{Measured, Parts};
use tidegate_benches::run::{Fallible, run};

use subject::Subject;
use subjects::subjects;

/// CPU of the gateway beside nginx, and of one version of HTTP beside the others.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    measured: Measured,
    #[command(flatten)]
    parts: Parts<Part>,
    /// Rounds; the best counts, all are printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..1_000))]
    rounds: u64,
    /// Requests in a round.
    #[arg(long, default_value_t = 150_000)]
    requests: usize,
    /// Segments in the catalog.
    #[arg(long, default_value_t = 100)]
    segments: usize,
    /// Streams that share a connection of HTTP/2 or HTTP/3; 64 are in flight whatever they share.
    #[arg(long, default_value_t = 8)]
    streams: usize,
    /// Brokers to forward to; without it there is no Kafka figure.
    #[arg(long)]
    kafka: Option<String>,
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
    /// One event a request over HTTP/1.1; so the following over theirs, all to one gateway.
    H1,
    /// HTTP/1.1 over TLS.
    H1Tls,
    /// HTTP/2 with prior knowledge.
    H2,
    /// HTTP/2 over TLS.
    H2Tls,
    /// HTTP/3.
    H3,
    /// The time to a durable ack; needs `single`.
    Latency,
}

fn main() -> Fallible<()> {
    run(measure)
}

async fn measure(arguments: &Arguments) -> Fallible<()> {
    let mut subjects = subjects(arguments)?;
    let mut out = stdout().lock();
    for round in 0..=arguments.rounds {
        for subject in &mut subjects {
            subject.warm_or_measure(round, &mut out).await?;
        }
    }
    report::costs(&mut out, &subjects)?;
    report::versions(&mut out, &subjects)?;
    report::journals(&mut out, &subjects)?;
    if let Some(single) = find(&subjects, "single")
        && arguments.parts.wants(&Part::Latency)
    {
        latency::measure(&mut out, arguments, single).await?;
    }
    out.flush()?;
    subjects.into_iter().try_for_each(Subject::stop)
}

fn find<'a>(subjects: &'a [Subject], name: &str) -> Option<&'a Subject> {
    subjects.iter().find(|subject| subject.name == name)
}
