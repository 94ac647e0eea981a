//! Connections over TLS that have sent one event and keep silent since: what each holds.

use std::io::Write;

use tidegate_benches::load::{self, CONNECTIONS, Plan};
use tidegate_benches::process::MIB;
use tidegate_benches::protocol::Protocol;
use tidegate_benches::run::Fallible;
use tidegate_benches::workload::{PREPARED, Shape, single};

use crate::{Arguments, open};

/// Over HTTP/1.1 and over HTTP/2.
pub(crate) async fn measure(out: &mut impl Write, arguments: &Arguments) -> Fallible<()> {
    for name in ["HTTP/1.1", "HTTP/2"] {
        let gateway = arguments.gateway("idle")?;
        let certificate = gateway.certificate();
        let protocol = if name == "HTTP/2" {
            Protocol::http2_tls(&certificate)?
        } else {
            Protocol::http1_tls(&certificate)?
        };
        let address = gateway.secure.ok_or("no TLS was asked for")?;
        let mut requests = single(Shape::default(), PREPARED);
        // The visitors are known, and the code has run, before memory is looked at.
        let plan = Plan {
            address,
            connections: CONNECTIONS,
            requests: PREPARED,
            round: 1,
        };
        let lanes = protocol.open(address, CONNECTIONS, 1).await?;
        load::closed_on(lanes, plan, &requests).await?;
        let (before, others) = (gateway.server.rss_bytes()?, open(&gateway)?);
        let mut idle = Vec::with_capacity(arguments.connections);
        let mut serial = 0;
        for at in 0..arguments.connections {
            let mut lanes = protocol.open(address, 1, 1).await?;
            let kind = at % requests.len();
            for lane in &mut lanes {
                lane.exchange(&mut requests[kind], &mut serial).await?;
            }
            idle.append(&mut lanes);
        }
        let after = gateway.server.rss_bytes()?;
        let held = open(&gateway)?;
        if held < idle.len() as f64 {
            return Err(format!("{} connections opened, {held} are open", idle.len()).into());
        }
        writeln!(
            out,
            "{} idle connections, {name} over TLS: {:.1} -> {:.1} MiB resident, {:.1} KiB each ({others} before)",
            idle.len(),
            before as f64 / MIB,
            after as f64 / MIB,
            (after.saturating_sub(before)) as f64 / 1024.0 / idle.len() as f64
        )?;
        gateway.server.stop()?;
    }
    Ok(())
}
