//! Who is measured: starts the servers of the parts that are wanted and prepares their requests.

use std::net::SocketAddr;
use std::rc::Rc;

use tidegate_benches::gateway::{Gateway, Options};
use tidegate_benches::nginx;
use tidegate_benches::protocol::Protocol;
use tidegate_benches::run::Fallible;
use tidegate_benches::segments::segments;
use tidegate_benches::workload::{PREPARED, Request, Shape, batches, gets, single};

use crate::subject::{Measured, Subject, Target};
use crate::{Arguments, Part};

/// Events in a request of `batch`.
const BATCH: usize = 50;

/// In the order of their turns.
const VERSIONS: [Part; 5] = [Part::H1, Part::H1Tls, Part::H2, Part::H2Tls, Part::H3];

/// All subjects, in the order of their turns.
pub(crate) fn subjects(arguments: &Arguments) -> Fallible<Vec<Subject>> {
    let shape = Shape::default();
    let wants = |part| arguments.parts.wants(&part);
    let mut subjects = Vec::new();
    if wants(Part::Nginx) {
        let (server, address) = nginx::start(&arguments.measured.dir.join("nginx"))?;
        let requests = gets(shape, PREPARED, nginx::GIF);
        let target = Rc::new(Target::Nginx(server));
        subjects.push(arguments.subject("nginx", &target, address, requests));
    }
    if wants(Part::Single) {
        let (target, address) = arguments.gateway("single", None)?;
        let requests = single(shape, PREPARED);
        subjects.push(arguments.subject("single", &target, address, requests));
    }
    if wants(Part::Batch) {
        let (target, address) = arguments.gateway("batch", None)?;
        let requests = batches(shape, PREPARED / 2, BATCH);
        subjects.push(Subject {
            count: arguments.requests / 25,
            ..arguments.subject("batch", &target, address, requests)
        });
    }
    if let Some(brokers) = arguments.kafka.clone().filter(|_| wants(Part::Kafka)) {
        let (target, address) = arguments.gateway("kafka", Some(brokers))?;
        let requests = single(shape, PREPARED);
        subjects.push(arguments.subject("kafka", &target, address, requests));
    }
    subjects.extend(versions(arguments)?);
    Ok(subjects)
}

/// One gateway, asked in each version of HTTP in turn.
fn versions(arguments: &Arguments) -> Fallible<Vec<Subject>> {
    let wanted = |part: &Part| arguments.parts.wants(part);
    if !VERSIONS.iter().any(wanted) {
        return Ok(Vec::new());
    }
    let options = Options {
        secure: true,
        ..arguments.options()
    };
    let gateway = Gateway::start(&arguments.measured.fresh("versions")?, &options)?;
    let certificate = gateway.certificate();
    let http = gateway.edge;
    let https = gateway.secure.ok_or("no TLS was asked for")?;
    let target = Rc::new(Target::Gateway(gateway));
    let ways = [
        ("h1", http, Protocol::Http1),
        ("h1-tls", https, Protocol::http1_tls(&certificate)?),
        ("h2", http, Protocol::Http2),
        ("h2-tls", https, Protocol::http2_tls(&certificate)?),
        ("h3", https, Protocol::http3(&certificate)?),
    ];
    let subject = |(turn, (name, address, protocol))| Subject {
        protocol,
        turn,
        ..arguments.subject(name, &target, address, single(Shape::default(), PREPARED))
    };
    let ways = VERSIONS.iter().zip((0..).zip(ways));
    let ways = ways.filter(|(part, _)| wanted(part));
    Ok(ways.map(|(_, way)| subject(way)).collect())
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            program: self.measured.program.clone(),
            segments: segments(self.segments),
            disk_budget: "12GiB",
            ..Options::default()
        }
    }

    fn gateway(&self, name: &str, kafka: Option<String>) -> Fallible<(Rc<Target>, SocketAddr)> {
        let options = Options {
            kafka,
            ..self.options()
        };
        let gateway = Gateway::start(&self.measured.fresh(name)?, &options)?;
        let address = gateway.edge;
        Ok((Rc::new(Target::Gateway(gateway)), address))
    }

    /// Over HTTP/1.1.
    fn subject(
        &self,
        name: &'static str,
        target: &Rc<Target>,
        address: SocketAddr,
        requests: Vec<Request>,
    ) -> Subject {
        Subject {
            name,
            target: Rc::clone(target),
            address,
            protocol: Protocol::Http1,
            turn: 0,
            streams: self.streams,
            requests,
            count: self.requests,
            measured: Measured::default(),
        }
    }
}
