//! The gateway under measurement: its configuration, its start, and what it says of itself.

use std::fs;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_collector::catalog::Segment;

use crate::process::{Server, free_address};
use crate::segments::catalog_toml;
use crate::workload::{COOKIE, SOURCE, WRITE_KEY};

/// How long an admin request may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How it is to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The binary `tidegate`.
    pub program: PathBuf,
    /// Segments in its catalog.
    pub segments: Vec<Segment>,
    /// Kafka's brokers, where events are forwarded.
    pub kafka: Option<String>,
    /// The checkpoint's lag, where it is not the default.
    pub lag_records: Option<u64>,
    /// Whether it also takes events over TLS and QUIC.
    pub secure: bool,
    /// The journal's budget, as the configuration spells it.
    pub disk_budget: &'static str,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// The process.
    pub server: Server,
    /// Where it takes events.
    pub edge: SocketAddr,
    /// Where it takes events over TLS and QUIC, if it does.
    pub secure: Option<SocketAddr>,
    /// Where it takes questions.
    pub admin: SocketAddr,
    dir: PathBuf,
}

impl Gateway {
    /// Writes configuration and catalog into `dir`, starts the gateway there and waits until it
    /// is ready. What `dir` holds already is taken up.
    ///
    /// # Errors
    /// Those of the system; where it does not become ready.
    pub fn start(dir: &Path, options: &Options) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let (edge, admin) = (free_address()?, free_address()?);
        let secure = options.secure.then(free_address).transpose()?;
        let catalog = dir.join("catalog.toml");
        fs::write(&catalog, catalog_toml(&options.segments, SOURCE, WRITE_KEY))?;
        let config = dir.join("tidegate.toml");
        fs::write(&config, config_toml(dir, (edge, secure, admin), options))?;
        let config = config.to_string_lossy();
        let arguments = ["serve", "--config", &config];
        let server = Server::start(&options.program, &arguments, &dir.join("tidegate.log"))?;
        let mut gateway = Self {
            server,
            edge,
            secure,
            admin,
            dir: dir.to_owned(),
        };
        gateway
            .server
            .wait_until(|| get(admin, "/readyz").is_ok())?;
        Ok(gateway)
    }

    /// The certificate that it made for itself.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("data/tls/self-signed.pem")
    }

    /// The sum of all samples of a metric whose line starts with `name`.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let text = get(self.admin, "/metrics")?;
        Ok(text
            .lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Events acked as accepted since its start.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn accepted(&self) -> Result<f64> {
        self.metric("tidegate_events_total{outcome=\"accepted\"}")
    }
}

fn config_toml(
    dir: &Path,
    (edge, secure, admin): (SocketAddr, Option<SocketAddr>, SocketAddr),
    options: &Options,
) -> String {
    let geoip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/geoip");
    let https = secure.map(|address| format!("https = \"{address}\"\n"));
    let https = https.unwrap_or_default();
    let (dir, geoip) = (dir.display(), geoip.display());
    let mut text = format!(
        r#"data_dir = "{dir}/data"
catalog = "{dir}/catalog.toml"
[journal]
disk_budget = "{}"
[edge]
http = "{edge}"
trusted_proxies = ["127.0.0.1/32"]
{https}[cookie]
name = "{COOKIE}"
[admin]
listen = "{admin}"
[geoip]
city = "{geoip}/GeoLite2-City-Test.mmdb"
asn = "{geoip}/GeoLite2-ASN-Test.mmdb"
"#,
        options.disk_budget
    );
    if let Some(records) = options.lag_records {
        text.push_str(&format!("[checkpoint]\nlag_records = {records}\n"));
    }
    if let Some(brokers) = &options.kafka {
        text.push_str(&format!("[kafka]\nbrokers = \"{brokers}\"\n"));
    }
    text
}

/// The body of a 200.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ADMIN_TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(answer)
    } else {
        Err(ErrorKind::NotConnected.into())
    }
}
