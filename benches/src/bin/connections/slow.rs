//! Slowloris: clients whose heads arrive a byte a second and never end, each opened again as soon as
//! it is cut off; beside them a good client, with a new connection for every request.

use std::cell::Cell;
use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tidegate_benches::connection::Connection;
use tidegate_benches::load::percentile_ms;
use tidegate_benches::process::MIB;
use tidegate_benches::run::Fallible;
use tidegate_benches::workload::{PREPARED, Shape, single};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};

use crate::{Arguments, open};

/// What every slow head begins with.
const HEAD: &[u8] = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
/// Between two of its bytes.
const DRIP: Duration = Duration::from_secs(1);
/// Between two slow connections when they are opened: faster than the backlog fills.
const APART: Duration = Duration::from_micros(500);
/// Between two requests of the good client.
const EVERY: Duration = Duration::from_millis(10);
/// A good request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the good client saw.
#[derive(Default)]
struct Good {
    latencies_us: Vec<u64>,
    failed: usize,
}

/// What the slow ones did.
#[derive(Default)]
struct Slow {
    open: Cell<usize>,
    cut: Cell<usize>,
}

/// The good client alone, then beside the slow ones.
pub(crate) async fn measure(out: &mut impl Write, arguments: &Arguments) -> Fallible<()> {
    let gateway = arguments.gateway("slow")?;
    let address = gateway.edge;
    good(address, 5, 1).await.print(out, "alone")?;
    let before = gateway.server.rss_bytes()? as f64 / MIB;
    let slow = Rc::new(Slow::default());
    let mut tasks = JoinSet::new();
    for at in 0..arguments.connections {
        let start = APART * u32::try_from(at)?;
        tasks.spawn_local(Rc::clone(&slow).drip(address, start));
    }
    while slow.open.get() < arguments.connections * 9 / 10 {
        sleep(EVERY).await;
    }
    let beside = good(address, arguments.seconds, 2).await;
    let during = gateway.server.rss_bytes()? as f64 / MIB;
    let held = open(&gateway)?;
    writeln!(
        out,
        "{held} slow heads open at the end, {} cut off and opened again; {before:.1} -> {during:.1} MiB resident",
        slow.cut.get()
    )?;
    beside.print(out, "beside them")?;
    drop(tasks);
    gateway.server.stop()?;
    Ok(())
}

/// A new connection for every request; a request does not wait for the one before it.
async fn good(address: SocketAddr, seconds: u64, round: u64) -> Good {
    let mut requests = single(Shape::default(), PREPARED);
    let mut serial = round * 1_000_000;
    let mut ticks = interval(EVERY);
    let mut tasks = JoinSet::new();
    let ended = Instant::now() + Duration::from_secs(seconds);
    for at in 0.. {
        ticks.tick().await;
        if Instant::now() > ended {
            break;
        }
        let kind = at % requests.len();
        let bytes = requests[kind].stamped(&mut serial).to_vec();
        tasks.spawn_local(async move {
            let started = Instant::now();
            let asked = async {
                Connection::open(address)
                    .await?
                    .exchange(&bytes)
                    .await
                    .map(|_| ())
            };
            let answered = matches!(timeout(PATIENCE, asked).await, Ok(Ok(())));
            answered.then(|| started.elapsed().as_micros())
        });
    }
    let mut good = Good::default();
    while let Some(answered) = tasks.join_next().await {
        match answered {
            Ok(Some(us)) => good
                .latencies_us
                .push(u64::try_from(us).unwrap_or(u64::MAX)),
            Ok(None) | Err(_) => good.failed += 1,
        }
    }
    good.latencies_us.sort_unstable();
    good
}

impl Good {
    fn print(&self, out: &mut impl Write, when: &str) -> std::io::Result<()> {
        writeln!(
            out,
            "good client {when}: {} of {} requests failed, p50 {:.1}  p99 {:.1}  max {:.1} ms",
            self.failed,
            self.failed + self.latencies_us.len(),
            percentile_ms(&self.latencies_us, 0.5),
            percentile_ms(&self.latencies_us, 0.99),
            percentile_ms(&self.latencies_us, 1.0)
        )
    }
}

impl Slow {
    /// Goes on until it is aborted.
    async fn drip(self: Rc<Self>, address: SocketAddr, start: Duration) {
        sleep(start).await;
        loop {
            let Ok(mut stream) = TcpStream::connect(address).await else {
                sleep(DRIP).await;
                continue;
            };
            self.open.set(self.open.get() + 1);
            let mut alive = stream.write_all(HEAD).await.is_ok();
            while alive {
                let mut answer = [0; 256];
                alive = match timeout(DRIP, stream.read(&mut answer)).await {
                    Ok(read) => read.is_ok_and(|bytes| bytes > 0),
                    Err(_) => stream.write_all(b"x").await.is_ok(),
                };
            }
            self.open.set(self.open.get() - 1);
            self.cut.set(self.cut.get() + 1);
        }
    }
}
