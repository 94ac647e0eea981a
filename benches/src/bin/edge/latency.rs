//! The time to a durable ack: the open loop at half the highest rate, beside the bare disk.

use std::io::Write;

use tidegate_benches::disk;
use tidegate_benches::load::{self, CONNECTIONS, Plan, percentile_ms};
use tidegate_benches::run::Fallible;

use crate::Arguments;
use crate::subject::Subject;

/// Measures and prints it.
pub(crate) async fn measure(
    out: &mut impl Write,
    arguments: &Arguments,
    subject: &Subject,
) -> Fallible<()> {
    let rate = subject.measured.rate / 2.0;
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
