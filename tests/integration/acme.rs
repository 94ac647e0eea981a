//! A certificate by ACME from a real authority (Pebble): from an empty data directory, kept over a
//! restart, renewed under an open connection, and a failure that is not repeated at once.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::Method;
use rustls::ClientConfig;
use serde_json::json;
use tidegate_tests::config::WEB_KEY;
use tidegate_tests::patience::runtime;
use tidegate_tests::pebble::{Pebble, free_port};
use tidegate_tests::secure::{Connection, shake_hands, trusting};
use tidegate_tests::{Config, Gateway, eventually, turn};
use tokio::runtime::Runtime;

const HOST: &str = "t.example.com";
const DAY_S: u32 = 86_400;

/// None, and said so, where Pebble cannot be built.
fn authority(tls_port: u16, validity_s: u32) -> Option<Pebble> {
    let pebble = Pebble::start(tls_port, validity_s);
    if pebble.is_none() {
        eprintln!("skipped: no Go, which Pebble is built by");
    }
    pebble
}

fn config(pebble: &Pebble, https: u16) -> Config {
    Config::new()
        .set("edge", "https", &format!("\"127.0.0.1:{https}\""))
        .set(
            "edge.tls.acme",
            "domains",
            &format!("[\"{HOST}\", \"u.example.com\"]"),
        )
        .set("edge.tls.acme", "contact", "[\"ops@example.com\"]")
        .set(
            "edge.tls.acme",
            "directory",
            &format!("\"{}\"", pebble.directory()),
        )
        .set(
            "edge.tls.acme",
            "root",
            &format!("\"{}\"", pebble.root().display()),
        )
        .set("edge.tls.acme", "terms_agreed", "true")
}

fn orders(gateway: &Gateway, result: &str) -> f64 {
    let labels = format!("result=\"{result}\"");
    gateway
        .metric("tidegate_acme_orders_total", &labels)
        .unwrap()
}

/// Waits until so many orders were filled, and fails with the log at the first that was not.
fn await_orders(gateway: &Gateway, count: f64) {
    eventually("a filled order", || {
        // In this order: an order may end between the two looks.
        let ended = gateway.metric("tidegate_acme_orders_total", "").unwrap();
        let ok = orders(gateway, "ok");
        assert!(ok >= ended, "an order failed:\n{}", gateway.log());
        (ok >= count).then_some(())
    });
}

/// A client that trusts what the authority signs, and nobody else.
struct Visitor {
    runtime: Runtime,
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Visitor {
    fn trusting(issuer: &str, https: u16) -> Self {
        Self {
            runtime: runtime(),
            address: SocketAddr::from(([127, 0, 0, 1], https)),
            config: trusting(issuer, &[b"http/1.1"]),
        }
    }

    fn connect(&self) -> Connection {
        let open = Connection::open(self.address, &self.config, HOST);
        self.runtime.block_on(open).unwrap()
    }

    fn send_event(&self, connection: &mut Connection) {
        let path = format!("/v1/events?writeKey={WEB_KEY}");
        let page = json!({"type": "page", "anonymousId": "a-1"}).to_string();
        let answer = connection.send(Method::POST, &path, &[], page);
        let answer = self.runtime.block_on(answer).unwrap();
        assert_eq!(answer.outcomes(), ["accepted"]);
    }

    /// Whether a handshake that offers these protocols comes to its end.
    fn is_welcome(&self, alpn: &[&[u8]]) -> bool {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let config = Arc::new(config);
        let shaken = shake_hands(self.address, &config, HOST);
        self.runtime.block_on(shaken).is_ok()
    }
}

/// Every file below, with its mode.
fn files_below(dir: &Path) -> Vec<(PathBuf, u32)> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let below = |entry: std::fs::DirEntry| {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        if meta.is_dir() {
            files_below(&path)
        } else {
            vec![(path, meta.permissions().mode() & 0o777)]
        }
    };
    entries.flat_map(below).collect()
}

#[test]
fn an_empty_data_directory_gets_a_certificate_and_a_restart_keeps_it() {
    let _turn = turn();
    let https = free_port();
    let Some(pebble) = authority(https, 90 * DAY_S) else {
        return;
    };
    let mut gateway = Gateway::start(&config(&pebble, https));
    await_orders(&gateway, 1.0);
    let visitor = Visitor::trusting(&pebble.issuer(), https);
    let mut connection = visitor.connect();
    visitor.send_event(&mut connection);
    let certificate = connection.certificate().clone();
    let files = files_below(&gateway.data_dir().join("acme"));
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files.iter().all(|(_, mode)| *mode == 0o600), "{files:?}");
    let expiry = "tidegate_tls_certificate_expiry_timestamp_seconds";
    let next = "tidegate_acme_next_order_timestamp_seconds";
    let renewal = |gateway: &Gateway| {
        let days_left = gateway.metric(expiry, "certificate.pem")? - gateway.metric(next, "")?;
        Some(days_left / f64::from(DAY_S))
    };
    eventually("the time of the renewal", || {
        renewal(&gateway).filter(|days| (30.0..35.0).contains(days))
    });
    let proving: &[u8] = b"acme-tls/1";
    assert!(!visitor.is_welcome(&[proving]), "no proof is due");
    assert!(!visitor.is_welcome(&[proving, b"h2"]), "a proof and HTTP");

    drop(connection);
    assert!(gateway.terminate().success());
    gateway.start_again();
    let mut connection = visitor.connect();
    visitor.send_event(&mut connection);
    assert_eq!(*connection.certificate(), certificate);
    eventually("the schedule", || {
        gateway.metric(next, "").filter(|at| *at > 0.0)
    });
    assert_eq!(gateway.metric("tidegate_acme_orders_total", ""), Some(0.0));
}

#[test]
fn a_renewal_reaches_new_connections_while_old_ones_go_on() {
    let _turn = turn();
    let https = free_port();
    // Renewed after two thirds of it.
    let Some(pebble) = authority(https, 30) else {
        return;
    };
    let gateway = Gateway::start(&config(&pebble, https));
    await_orders(&gateway, 1.0);
    let visitor = Visitor::trusting(&pebble.issuer(), https);
    let mut old = visitor.connect();
    visitor.send_event(&mut old);
    await_orders(&gateway, 2.0);
    let mut new = visitor.connect();
    assert_ne!(new.certificate(), old.certificate());
    visitor.send_event(&mut new);
    visitor.send_event(&mut old);
}

#[test]
fn a_name_that_cannot_be_proven_is_told_and_not_tried_again_at_once() {
    let _turn = turn();
    let (https, elsewhere) = (free_port(), free_port());
    let Some(pebble) = authority(elsewhere, 90 * DAY_S) else {
        return;
    };
    let mut gateway = Gateway::start(&config(&pebble, https));
    eventually("the failed order", || {
        (orders(&gateway, "unproven") > 0.0).then_some(())
    });
    let log = gateway.log();
    for told in [
        "https runs on a self-signed certificate that no browser trusts",
        "could not prove t.example.com, u.example.com",
        "port 443 of each name has to lead to edge.https",
        "failures.json",
    ] {
        assert!(log.contains(told), "{told} in:\n{log}");
    }
    let own = gateway.data_dir().join("tls/self-signed.pem");
    let own = std::fs::read_to_string(own).unwrap();
    let trusting_own = trusting(&own, &[]);
    let address = SocketAddr::from(([127, 0, 0, 1], https));
    let runtime = runtime();
    let shaken = runtime.block_on(shake_hands(address, &trusting_own, "localhost"));
    assert!(shaken.is_ok(), "{shaken:?}");

    assert!(gateway.terminate().success());
    gateway.start_again();
    let next = "tidegate_acme_next_order_timestamp_seconds";
    eventually("the schedule", || {
        gateway.metric(next, "").filter(|at| *at > 0.0)
    });
    assert_eq!(gateway.metric("tidegate_acme_orders_total", ""), Some(0.0));
}
