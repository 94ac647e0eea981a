//! One gateway: the real binary with its files in a directory of its own, started, asked, killed
//! and started again.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use hyper::Method;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::config::{Config, WEB_KEY};
use crate::http::{Answer, HttpError, request};
use crate::patience::eventually;
use crate::process::{Process, binary, run};

/// Where a gateway listens; changes with every start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The edge.
    pub http: SocketAddr,
    /// The edge over TLS and, on the same port of UDP, over HTTP/3, where it has them.
    pub https: Option<SocketAddr>,
    /// The admin listener.
    pub admin: SocketAddr,
}

/// Where a gateway listens now, for clients that outlive a restart.
pub type Target = Arc<RwLock<Addresses>>;

/// The running binary.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    target: Target,
    config: PathBuf,
    data_dir: PathBuf,
    dir: TempDir,
}

impl Gateway {
    /// Starts the binary and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not get ready; the message holds its log.
    #[must_use]
    pub fn start(config: &Config) -> Self {
        Self::start_by(config, &mut |serve, _| serve)
    }

    /// Starts the binary through `wrap`, which gets the plain command and the directory for its
    /// own files: a tracer, say.
    ///
    /// # Panics
    /// Where it does not get ready.
    #[must_use]
    pub fn start_by(config: &Config, wrap: &mut dyn FnMut(Command, &Path) -> Command) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (config, data_dir) = config.write(dir.path());
        let (process, addresses) = launch(&config, &data_dir, dir.path(), &[], wrap);
        Self {
            process,
            target: Arc::new(RwLock::new(addresses)),
            config,
            data_dir,
            dir,
        }
    }

    /// Starts the binary again on the same data, with the same files.
    pub fn start_again(&mut self) {
        let wrap = &mut |serve, _: &Path| serve;
        let dir = self.dir.path();
        let (process, addresses) = launch(&self.config, &self.data_dir, dir, &[], wrap);
        self.process = process;
        *self.target.write().expect("no holder panics") = addresses;
    }

    /// Starts the binary beside the running one, to take over from it; how the old one ended.
    ///
    /// # Panics
    /// Where the new one does not get ready, or listens elsewhere.
    pub fn hand_over(&mut self) -> ExitStatus {
        let wrap = &mut |serve, _: &Path| serve;
        let dir = self.dir.path();
        let args = ["--take-over"];
        let (process, addresses) = launch(&self.config, &self.data_dir, dir, &args, wrap);
        assert_eq!(self.addresses(), addresses);
        let mut old = std::mem::replace(&mut self.process, process);
        old.wait()
    }

    /// Kill -9, and waits for the end.
    pub fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait()
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where it listens, also after restarts.
    #[must_use]
    pub fn target(&self) -> Target {
        Arc::clone(&self.target)
    }

    /// Where it listens now.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        *self.target.read().expect("no holder panics")
    }

    /// The directory with its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The certificate that it made for itself, PEM.
    ///
    /// # Panics
    /// Where it made none.
    #[must_use]
    pub fn certificate(&self) -> String {
        let path = self.data_dir.join("tls/self-signed.pem");
        fs::read_to_string(path).expect("a self-signed certificate")
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// POSTs to `/v1/events` with the web source's key.
    ///
    /// # Errors
    /// Whatever the network says.
    pub fn try_post(&self, body: impl Into<Bytes>) -> Result<Answer, HttpError> {
        let path = format!("/v1/events?writeKey={WEB_KEY}");
        let headers = [("content-type", "application/json")];
        request(self.addresses().http, Method::POST, &path, &headers, body)
    }

    /// POSTs to `/v1/events` with the web source's key.
    ///
    /// # Panics
    /// Where there is no answer.
    #[must_use]
    pub fn post(&self, body: &Value) -> Answer {
        self.try_post(body.to_string()).expect("the edge answers")
    }

    /// GETs from the edge.
    ///
    /// # Panics
    /// Where there is no answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        request(self.addresses().http, Method::GET, path, &[], "").expect("the edge answers")
    }

    /// GETs from the admin listener.
    ///
    /// # Panics
    /// Where there is no answer.
    #[must_use]
    pub fn admin(&self, path: &str) -> Answer {
        request(self.addresses().admin, Method::GET, path, &[], "").expect("the admin answers")
    }

    /// A metric's value, summed over its label sets that contain `labels`; None where it has none.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &str) -> Option<f64> {
        let text = self.admin("/metrics").text();
        let values: Vec<f64> = text
            .lines()
            .filter_map(|line| {
                let rest = line.strip_prefix(name)?;
                let fits = rest.starts_with([' ', '{']) && rest.contains(labels);
                rest.rsplit(' ').next().filter(|_| fits)?.parse().ok()
            })
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Every record below is durable; None where no gateway runs.
    #[must_use]
    pub fn durable_offset(&self) -> Option<u64> {
        TcpStream::connect(self.addresses().admin).ok()?;
        let metrics = self.admin("/metrics").text();
        let mut lines = metrics.lines();
        lines.find_map(|line| {
            line.strip_prefix("tidegate_journal_durable_offset ")?
                .parse()
                .ok()
        })
    }

    /// Runs `tidegate ARGS --config FILE`; its stdout.
    ///
    /// # Errors
    /// Its stderr, where it fails.
    pub fn cli(&self, args: &[&str]) -> Result<String, String> {
        run(Command::new(binary())
            .args(args)
            .arg("--config")
            .arg(&self.config))
    }

    /// Runs `tidegate ARGS --admin URL`; its stdout.
    ///
    /// # Errors
    /// Its stderr, where it fails.
    pub fn ctl(&self, args: &[&str]) -> Result<String, String> {
        let url = format!("http://{}", self.addresses().admin);
        run(Command::new(binary()).args(args).arg("--admin").arg(url))
    }

    /// Writes another catalog beside its files; the path.
    ///
    /// # Panics
    /// Where it cannot be written.
    #[must_use]
    pub fn write_catalog(&self, config: &Config) -> String {
        let path = self.dir.path().join("next-catalog.toml");
        fs::write(&path, config.catalog()).expect("the catalog is written");
        path.display().to_string()
    }
}

fn launch(
    config: &Path,
    data_dir: &Path,
    dir: &Path,
    args: &[&str],
    wrap: &mut dyn FnMut(Command, &Path) -> Command,
) -> (Process, Addresses) {
    let announced = data_dir.join("addresses.json");
    let _ = fs::remove_file(&announced);
    let mut serve = Command::new(binary());
    serve.arg("serve").arg("--config").arg(config).args(args);
    let mut process = Process::start(&mut wrap(serve, dir), &dir.join("gateway.log"));
    let addresses = eventually("the gateway's addresses", || {
        let ended = process.ended();
        assert!(
            ended.is_none(),
            "the gateway ended, {ended:?}:\n{}",
            process.output()
        );
        read_addresses(&announced)
    });
    eventually("the gateway's readiness", || {
        let ready = request(addresses.admin, Method::GET, "/readyz", &[], "").ok()?;
        ready.status.is_success().then_some(())
    });
    (process, addresses)
}

fn read_addresses(path: &Path) -> Option<Addresses> {
    let json: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(Addresses {
        http: json["http"].as_str()?.parse().ok()?,
        https: json["https"].as_str().and_then(|https| https.parse().ok()),
        admin: json["admin"].as_str()?.parse().ok()?,
    })
}
