//! A metric that nothing moves is dead, and so is the alert that reads it. Traffic of all kinds,
//! good and bad, has to move every metric of docs/metrics.md at least once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use hyper::Method;
use serde_json::{Value, json};
use tidegate_tests::config::WEB_KEY;
use tidegate_tests::http::request;
use tidegate_tests::load::Load;
use tidegate_tests::otlp::Collector;
use tidegate_tests::process::run;
use tidegate_tests::{Config, Gateway, Receiver, eventually, turn};

/// What is moved elsewhere, or not at all, with the reason.
const NOT_HERE: [(&str, &str); 46] = [
    ("process_start_time_seconds", "fixed for a process"),
    ("tidegate_build_info", "always 1"),
    (
        "tidegate_bad_rows_expired_total",
        "only after bad_rows.retention, an hour at least; bad_rows::tests",
    ),
    (
        "tidegate_clock_lead_milliseconds",
        "only where the wall clock steps; steady",
    ),
    (
        "tidegate_destination_dead_aged_total",
        "only after activation.dead_letters_max_age; activation::tests",
    ),
    (
        "tidegate_destination_unreadable_total",
        "only a damaged row; activation::tests",
    ),
    (
        "tidegate_profile_store_errors_total",
        "only a failing disk; disk_full.rs",
    ),
    (
        "tidegate_profiles_contended_total",
        "only races on one profile; core::tests",
    ),
    (
        "tidegate_profiles_displaced_total",
        "only beyond profiles.disk_max; profile::tests",
    ),
    (
        "tidegate_profiles_expired_total",
        "only after profiles.retention; profile::tests",
    ),
    (
        "tidegate_profiles_refused_total",
        "only above profiles.live_max and its slack; core::tests",
    ),
    (
        "tidegate_profiles_limited_total",
        "only beyond what one address may create; core::tests",
    ),
    (
        "tidegate_unreadable_records_total",
        "only a record that an erring build wrote; cursors::activation::tests",
    ),
    (
        "tidegate_timers_unreadable_total",
        "only a damaged row; core::tests",
    ),
    (
        "tidegate_acme_next_order_timestamp_seconds",
        "acme.rs, with an authority",
    ),
    ("tidegate_acme_orders_total", "acme.rs, with an authority"),
    (
        "tidegate_bad_rows_dropped_total",
        "only a disk that is slower than a queue of rows",
    ),
    (
        "tidegate_cursor_lost_records_total",
        "the gateway itself has no best-effort cursor",
    ),
    (
        "tidegate_destination_coalesced_total",
        "only changes that wait unsent; activation::tests",
    ),
    (
        "tidegate_edge_address_limited_events_total",
        "loopback is not charged; edge::tests::limits",
    ),
    (
        "tidegate_edge_answers_withheld_total",
        "only clients that do not read; edge::tests::slow_answers",
    ),
    (
        "tidegate_edge_unsent_bytes",
        "let go once sent; edge::tests::slow_answers",
    ),
    (
        "tidegate_edge_answers_cut_total",
        "only clients that do not read; edge::tests::untaken_answers",
    ),
    (
        "tidegate_edge_connections_refused_total",
        "loopback is not limited; edge::tests::limits",
    ),
    (
        "tidegate_edge_delay_seconds",
        "only a slow disk; edge::tests::limits",
    ),
    (
        "tidegate_edge_read_delay_seconds",
        "only where requests wait to be read; edge::limits::admission",
    ),
    (
        "tidegate_edge_overloaded",
        "only overload; edge::tests::limits",
    ),
    ("tidegate_handover_pause_seconds", "hand_over.rs"),
    (
        "tidegate_journal_charged_bytes",
        "known once the store wrote its first table",
    ),
    ("tidegate_journal_disk_budget_bytes", "a setting"),
    (
        "tidegate_journal_durable_lag_seconds",
        "only a hanging disk; liveness::tests",
    ),
    (
        "tidegate_journal_cursor_save_failures_total",
        "journal::tests::room",
    ),
    ("tidegate_journal_prepare_failures_total", "disk_full.rs"),
    (
        "tidegate_journal_reserved_bytes",
        "promised for microseconds; journal::tests",
    ),
    (
        "tidegate_kafka_delivered_total",
        "kafka_outage.rs, with a broker",
    ),
    ("tidegate_kafka_in_flight", "kafka_outage.rs, with a broker"),
    (
        "tidegate_kafka_producer_restarts_total",
        "kafka_refuses.rs, with a broker",
    ),
    (
        "tidegate_kafka_refused_total",
        "kafka_refuses.rs, with a broker",
    ),
    (
        "tidegate_quic_handshakes_in_progress",
        "for the time of one handshake",
    ),
    ("tidegate_quic_refused_total", "edge::tests::http3"),
    (
        "tidegate_rule_traps_total",
        "default limits let no rule trap; core::tests",
    ),
    (
        "tidegate_sessions_ended_total",
        "a session ends after 30 minutes; core::tests",
    ),
    ("tidegate_stalled", "app::tests::liveness"),
    (
        "tidegate_timers_overdue_milliseconds",
        "only a gateway that is late; core::tests",
    ),
    (
        "tidegate_tls_certificate_expiry_timestamp_seconds",
        "reload.rs",
    ),
    ("tidegate_tls_reloads_total", "reload.rs"),
];

/// `{"type":"page","anonymousId":"z"}`, by gzip.
const GZIPPED: [u8; 52] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xab, 0x56, 0x2a, 0xa9, 0x2c, 0x48,
    0x55, 0xb2, 0x52, 0x2a, 0x48, 0x4c, 0x4f, 0x55, 0xd2, 0x51, 0x4a, 0xcc, 0xcb, 0xcf, 0xab, 0xcc,
    0xcd, 0x2f, 0x2d, 0xf6, 0x4c, 0x01, 0x0a, 0x56, 0x29, 0xd5, 0x02, 0x00, 0x7e, 0x28, 0x32, 0x82,
    0x21, 0x00, 0x00, 0x00,
];

/// The value of each metric at the first look, and which of them had another one since.
#[derive(Default)]
struct Movement {
    first: BTreeMap<String, f64>,
    moved: BTreeSet<String>,
}

impl Movement {
    fn look(&mut self, gateway: &Gateway) {
        let mut sums = BTreeMap::<String, f64>::new();
        for line in gateway.admin("/metrics").text().lines() {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            if let (false, Ok(value)) = (line.starts_with('#'), value.parse::<f64>()) {
                let name = series.split('{').next().unwrap_or(series);
                *sums.entry(name.to_owned()).or_default() += value;
            }
        }
        let fresh = self.first.is_empty();
        for (name, value) in sums {
            let first = if fresh { value } else { 0.0 };
            let first = *self.first.entry(name.clone()).or_insert(first);
            if value.to_bits() != first.to_bits() {
                self.moved.insert(name);
            }
        }
    }

    /// Looks until `name` moved.
    fn until(&mut self, gateway: &Gateway, name: &str) {
        eventually(&format!("{name} to move"), || {
            self.look(gateway);
            self.has(name).then_some(())
        });
    }

    fn has(&self, name: &str) -> bool {
        self.moved.contains(name) || self.moved.contains(&format!("{name}_count"))
    }
}

/// The first column of the reference.
fn documented() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned())
        .collect()
}

/// Whatever comes back until the connection ends; a client that is cut off gets nothing.
fn raw(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _cut_off = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn send(gateway: &Gateway, headers: &[(&str, &str)], body: &[u8]) -> u16 {
    let path = format!("/v1/events?writeKey={WEB_KEY}");
    let body = bytes::Bytes::copy_from_slice(body);
    let answer = request(gateway.addresses().http, Method::POST, &path, headers, body);
    answer.unwrap().status.as_u16()
}

fn track(visitor: &str, event: &str) -> Value {
    json!({"type": "track", "event": event, "anonymousId": visitor})
}

fn identify(visitor: &str, user: &str) -> Value {
    json!({"type": "identify", "anonymousId": visitor, "userId": user})
}

/// Two segments: one that is entered for good, one that time alone leaves after a second.
fn segmented(config: Config) -> Config {
    config
        .segment(
            "buyers",
            "count(event.name == \"Order Completed\", \"30d\") >= 1",
        )
        .segment("lookers", "count(event.name == \"Look\", \"1s\") >= 1")
}

fn config(traces: &Collector) -> Config {
    let config = Config::new()
        .secure()
        .set("edge", "header_timeout", "\"2s\"")
        .set("edge", "address_rate_limit", "400")
        .set("edge", "h3_retry_handshakes", "0")
        .set("journal", "segment_bytes", "\"4MiB\"")
        .set("journal", "retention", "\"0s\"")
        .set("profiles", "live_max", "1000")
        .set("profiles", "identifiers_max", "4")
        .set("checkpoint", "lag_records", "1000")
        .set("dedup", "entries_max", "1000")
        .set("activation", "dead_letters_max", "1")
        .set(
            "telemetry.otlp",
            "endpoint",
            &format!("\"{}\"", traces.endpoint()),
        )
        .set("telemetry.otlp", "sample", "1")
        .set("reload", "watch_interval", "\"0s\"");
    segmented(config)
}

/// What goes wrong at the door.
fn bad_input(gateway: &Gateway) {
    let http = gateway.addresses().http;
    assert_eq!(
        gateway
            .post(&json!({"type": "track", "anonymousId": "a"}))
            .status,
        400
    );
    assert_eq!(
        send(gateway, &[("content-encoding", "gzip")], b"no gzip"),
        400
    );
    let named = [("content-encoding", "gzip"), ("user-agent", "curl/8.5.0")];
    assert_eq!(send(gateway, &named, &GZIPPED), 200);
    let _cut = raw(http, "GET /healthz HTTP/1.1\r\nno colon\r\n\r\n");
    let _cut = raw(http, "\u{1}\u{2}\u{3}\r\n\r\n");
    let now = run(Command::new("date").args(["-u", "-d", "-2 hours", "+%FT%TZ"])).unwrap();
    let mut late = track("late", "Look");
    late["timestamp"] = json!(now.trim());
    assert_eq!(gateway.post(&late).outcomes(), ["accepted"]);
}

/// Far more visitors and bytes than the settings keep.
fn volume(gateway: &Gateway) {
    for round in 0..12 {
        let events = (0..1_000).map(|visitor| {
            json!({"type": "page", "anonymousId": format!("v-{round}-{visitor}"),
                "messageId": format!("m-{round}-{visitor}"),
                "properties": {"filler": "x".repeat(1_000)}})
        });
        let batch = json!({"batch": events.collect::<Vec<_>>()});
        // Where profiles come faster than they can be let go, some are refused.
        let status = gateway.post(&batch).status.as_u16();
        assert!([200, 503].contains(&status), "{status}");
    }
}

/// Two profiles become one, then get more identifiers and more traits than one may have.
fn identities(gateway: &Gateway) {
    for visitor in ["m-1", "m-2"] {
        let page = json!({"type": "page", "anonymousId": visitor});
        assert_eq!(gateway.post(&page).outcomes(), ["accepted"]);
    }
    for visitor in ["m-1", "m-2", "m-3", "m-4", "m-5", "m-6"] {
        let answer = gateway.post(&identify(visitor, "u-1"));
        assert_eq!(answer.outcomes(), ["accepted"]);
    }
    let mut large = identify("m-1", "u-1");
    large["traits"] = json!({"story": "x".repeat(10_000)});
    assert_eq!(gateway.post(&large).outcomes(), ["accepted"]);
}

/// A body that does not come: a request in work that waits for it.
fn unfinished(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.addresses().http).unwrap();
    let head = format!(
        "POST /v1/events?writeKey={WEB_KEY} HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/json\r\ncontent-length: 100000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[b' '; 50_000]).unwrap();
    stream
}

#[test]
fn traffic_of_all_kinds_moves_every_metric() {
    let _turn = turn();
    let (traces, good, refusing) = (Collector::start(), Receiver::start(), Receiver::start());
    // It takes connections and answers none.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}/hook", silent.local_addr().unwrap());
    let called = |config: Config| {
        config
            .webhook("good", &good.url(), &["buyers", "lookers"])
            .webhook("refusing", &refusing.url(), &["lookers"])
    };
    let first = called(config(&traces))
        .webhook("down", "http://127.0.0.1:9/hook", &["lookers"])
        .webhook("silent", &silent_url, &["buyers"]);
    let mut gateway = Gateway::start(&first);
    let mut movement = Movement::default();
    movement.look(&gateway);

    bad_input(&gateway);
    let held = unfinished(&gateway);
    movement.until(&gateway, "tidegate_edge_bodies_awaited");
    movement.until(&gateway, "tidegate_edge_buffered_bytes");
    drop(held);
    // Only waits, for a head.
    let idle = TcpStream::connect(gateway.addresses().http).unwrap();
    callbacks(&gateway, &refusing, &mut movement);
    identities(&gateway);
    volume(&gateway);
    let load = Load::mixed(&gateway, 1);
    load.wait_for(40);
    movement.look(&gateway);
    let _report = load.stop();
    movement.until(&gateway, "tidegate_edge_connections_idle_total");
    drop(idle);
    for name in [
        "tidegate_checkpoint_rows_total",
        "tidegate_profile_evictions_total",
        "tidegate_profiles_stored",
        "tidegate_profiles_stored_bytes",
        "tidegate_journal_segments_retired_total",
        "tidegate_otlp_spans_total",
    ] {
        movement.until(&gateway, name);
    }
    flood(&gateway, &mut movement);
    orphans(&mut gateway, &called(config(&traces)), &mut movement);
    second_gateway(&mut movement);

    let allowed: BTreeMap<_, _> = NOT_HERE.into_iter().collect();
    let names = documented();
    let dead: Vec<_> = names
        .iter()
        .filter(|name| !movement.has(name) && !allowed.contains_key(name.as_str()))
        .collect();
    assert!(dead.is_empty(), "nothing moved {dead:#?}");
    let gone: Vec<_> = allowed
        .keys()
        .filter(|name| !names.iter().any(|known| known == *name))
        .collect();
    assert!(gone.is_empty(), "no such metric any more: {gone:?}");
}

/// A callback that is refused becomes a dead letter, one that waits is replaced by a newer one, and
/// what a newer one has overtaken is not sent again.
fn callbacks(gateway: &Gateway, refusing: &Receiver, movement: &mut Movement) {
    for _ in 0..3 {
        refusing.answer_next(400, None);
    }
    for visitor in ["l-1", "l-2", "l-3"] {
        assert_eq!(
            gateway.post(&track(visitor, "Look")).outcomes(),
            ["accepted"]
        );
    }
    assert_eq!(
        gateway.post(&track("b-1", "Order Completed")).outcomes(),
        ["accepted"]
    );
    for name in [
        "tidegate_destination_in_flight",
        "tidegate_destination_queued",
        "tidegate_destination_dead_dropped_total",
        "tidegate_wake_ups_total",
    ] {
        movement.until(gateway, name);
    }
    // Three refused entries, three accepted exits.
    let _all = refusing.wait_for(6);
    movement.until(gateway, "tidegate_destination_delivered_total");
    eventually("a replay that is superseded", || {
        let _told = gateway.ctl(&["destinations", "replay", "refusing"]);
        movement.look(gateway);
        movement
            .has("tidegate_destination_superseded_total")
            .then_some(())
    });
}

/// More requests than one address may have.
fn flood(gateway: &Gateway, movement: &mut Movement) {
    let http = gateway.addresses().http;
    let one = "GET /v1/segments HTTP/1.1\r\nhost: a\r\n\r\n".repeat(99);
    let hundred = one + "GET /v1/segments HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    eventually("a request over the rate", || {
        for _ in 0..10 {
            let _answers = raw(http, &hundred);
        }
        movement.look(gateway);
        movement
            .has("tidegate_edge_refused_requests_total")
            .then_some(())
    });
}

/// Callbacks that wait for a destination which is gone at the next start.
fn orphans(gateway: &mut Gateway, without: &Config, movement: &mut Movement) {
    assert!(gateway.terminate().success(), "{}", gateway.log());
    let _written = without.write(gateway.dir());
    gateway.start_again();
    eventually("the callbacks of the destination that is gone", || {
        movement.look(gateway);
        movement.has("tidegate_outbox_orphaned_total").then_some(())
    });
    let next = without.clone().segment("more", "event.name == \"More\"");
    let _written = next.write(gateway.dir());
    gateway.ctl(&["reload"]).unwrap();
    movement.until(gateway, "tidegate_reloads_total");
    movement.until(gateway, "tidegate_catalog_generation");
}

/// Behind a proxy that says who the client is, and with a Kafka that is away.
fn second_gateway(movement: &mut Movement) {
    let config = Config::new()
        .set("edge", "proxy_protocol", "[\"http\"]")
        .set("edge", "ack", "\"kafka\"")
        .set("edge", "ack_timeout", "\"100ms\"")
        .set("liveness", "cursor_stalled", "\"1s\"")
        .kafka("127.0.0.1:9", "metrics");
    let gateway = Gateway::start(&config);
    movement.look(&gateway);
    let event = track("a", "Look").to_string();
    let answer = raw(
        gateway.addresses().http,
        &format!(
            "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nPOST /v1/events?writeKey={WEB_KEY} HTTP/1.1\r\n\
             host: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{event}",
            event.len()
        ),
    );
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for name in [
        "tidegate_ack_timeouts_total",
        "tidegate_edge_proxy_headers_total",
        "tidegate_kafka_errors_total",
        "tidegate_kafka_lag_records",
        "tidegate_cursor_lag_records",
        "tidegate_cursor_stalled_seconds",
    ] {
        movement.until(&gateway, name);
    }
}
