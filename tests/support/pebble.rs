//! A real authority that speaks ACME: Pebble, Let's Encrypt's own server for tests, with a DNS server
//! that leads every name to loopback. Built by Go, once.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use hyper::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::http::shared;
use crate::patience::eventually;
use crate::process::{Process, installed, run};
use crate::secure::{Connection, trusting};

/// A running authority.
#[derive(Debug)]
pub struct Pebble {
    server: Process,
    _dns: Process,
    directory: u16,
    management: u16,
    dir: TempDir,
}

/// A port that is free now: for servers that cannot say which one they took.
///
/// # Panics
/// Where none is.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}

impl Pebble {
    /// Starts one that looks for proofs on `tls_port` and signs for `validity_s`; None where there is
    /// no Go to build it.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(tls_port: u16, validity_s: u32) -> Option<Self> {
        if !installed("go") {
            return None;
        }
        let binaries = build();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (dns, directory, management) = (free_port(), free_port(), free_port());
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let own = rcgen::generate_simple_self_signed(names).expect("a pair");
        let path = |name: &str| dir.path().join(name);
        fs::write(path("root.pem"), own.cert.pem()).expect("it is written");
        fs::write(path("key.pem"), own.signing_key.serialize_pem()).expect("it is written");
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{directory}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("root.pem"),
            "privateKey": path("key.pem"),
            "httpPort": 1,
            "tlsPort": tls_port,
            "keyAlgorithm": "ecdsa",
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "for tests", "validityPeriod": validity_s}},
        }});
        fs::write(path("pebble.json"), config.to_string()).expect("it is written");
        let resolver = format!("127.0.0.1:{dns}");
        let mut names = Command::new(binaries.join("pebble-challtestsrv"));
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]);
        names.args(["-management", &format!("127.0.0.1:{}", free_port())]);
        names.args(["-dnsserver", &resolver, "-defaultIPv6", ""]);
        let names = Process::start(&mut names, &path("dns.log"));
        let mut server = Command::new(binaries.join("pebble"));
        server.arg("-config").arg(path("pebble.json"));
        server.args(["-strict", "-dnsserver", &resolver]);
        // As the real one, it sends some answers with a nonce that it will not take.
        server
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "10");
        let server = Process::start(&mut server, &path("pebble.log"));
        let pebble = Self {
            server,
            _dns: names,
            directory,
            management,
            dir,
        };
        eventually("the authority's directory", || {
            pebble.get(directory, "/dir")
        });
        Some(pebble)
    }

    /// `edge.tls.acme.directory`
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.directory)
    }

    /// `edge.tls.acme.root`
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    /// Who signs what it issues, PEM.
    ///
    /// # Panics
    /// Where it does not answer.
    #[must_use]
    pub fn issuer(&self) -> String {
        let root = self.get(self.management, "/roots/0");
        root.unwrap_or_else(|| unreachable!("no root:\n{}", self.log()))
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.output()
    }

    fn get(&self, port: u16, path: &str) -> Option<String> {
        let config = trusting(&fs::read_to_string(self.root()).ok()?, &[]);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let answer = shared().block_on(async {
            let mut connection = Connection::open(address, &config, "localhost").await.ok()?;
            // It takes nothing from a client that has no name.
            let headers = [("user-agent", "tidegate-tests")];
            connection.send(Method::GET, path, &headers, "").await.ok()
        })?;
        answer.status.is_success().then(|| answer.text())
    }
}

/// Builds both programs where their sources changed; their folder.
fn build() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let into = cache
        .unwrap_or_else(|| home().join(".cache"))
        .join("tidegate/acme");
    fs::create_dir_all(&into).expect("the cache is made");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("acme");
    let mut build = Command::new("go");
    build
        .current_dir(sources)
        .arg("build")
        .arg("-o")
        .arg(&into)
        .arg("tool");
    run(&mut build).unwrap_or_else(|error| unreachable!("pebble is not built: {error}"));
    into
}
