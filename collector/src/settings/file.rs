//! The keys of `tidegate.toml`, one by one, with their types and bounds. What two keys say together
//! is [`super::check`]'s.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::change::{self, Changes};
use super::form::{is_broker, is_cookie_name, is_domain, is_topic, is_url};
use super::{Ack, AdminTls, Cidr, Kafka, LogFormat, Settings, check, listeners};
use crate::document::{Document, Environment, Faults, Found, Reader, Reason, Section};

const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const DAY: u64 = 24 * 60 * MINUTE;
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const COUNT_MAX: u64 = 1_000_000_000;
/// Values in `identity.placeholders`.
const PLACEHOLDERS_MAX: usize = 10_000;

/// Reads and checks settings; `base` is the folder that relative paths of the file start from.
///
/// # Errors
/// Every mistake of the document and of the variables.
pub fn read(
    document: &Document,
    environment: &Environment,
    base: &Path,
) -> Result<Settings, Faults> {
    let (settings, faults) = read_and_look(document, environment, base, |_| Vec::new());
    faults.or(settings)
}

/// A file that a setting names and that will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The setting.
    pub key: &'static str,
    /// Which file, why, and what to do.
    pub error: String,
}

/// As [`read`], and every mistake also of the files that `look` reads. What is wrong keeps its
/// default in the settings that it gives.
pub fn read_and_look(
    document: &Document,
    environment: &Environment,
    base: &Path,
    look: impl FnOnce(&Settings) -> Vec<Unusable>,
) -> (Settings, Faults) {
    let reader = Reader::new(document, environment);
    let settings = read_all(&reader, base);
    check::together(&settings, &reader);
    for Unusable { key, error } in look(&settings) {
        reader.fault_at(key, Reason::File { error });
    }
    (settings, reader.finish())
}

/// Reads and checks settings for a gateway that runs by `in_force`: what it would run by from now
/// on, and what differs. `adjust` is what the command line adds.
///
/// # Errors
/// Every mistake, also that the keys which change now do not go with those that wait for a restart.
pub fn read_over(
    document: &Document,
    environment: &Environment,
    base: &Path,
    in_force: &Settings,
    adjust: impl Fn(&mut Settings),
) -> Result<(Settings, Changes), Faults> {
    let mut read = read(document, environment, base)?;
    adjust(&mut read);
    let changes = change::between(in_force, &read);
    let next = change::merged(in_force, &read);
    let reader = Reader::new(document, environment);
    let _again = read_all(&reader, base);
    check::together(&next, &reader);
    reader.finish().or((next, changes))
}

/// Reads every key; what is wrong keeps its default and is noted in `reader`.
pub(super) fn read_all(reader: &Reader<'_>, base: &Path) -> Settings {
    let mut settings = Settings::default();
    let root = reader.root();
    path(&root, "data_dir", &mut settings.data_dir, base);
    optional_path(&root, "catalog", &mut settings.catalog, base);
    journal(root.section("journal"), &mut settings.journal);
    edge(root.section("edge"), &mut settings.edge, base);
    cookie(root.section("cookie"), &mut settings.cookie);
    identity(root.section("identity"), &mut settings.identity);
    admin(root.section("admin"), &mut settings.admin, base);
    settings.kafka = kafka(root.section("kafka"));
    let geoip = root.section("geoip");
    optional_path(&geoip, "city", &mut settings.geoip.city, base);
    optional_path(&geoip, "asn", &mut settings.geoip.asn, base);
    geoip.finish();
    user_agents(root.section("user_agents"), &mut settings.user_agents, base);
    activation(root.section("activation"), &mut settings.activation);
    state(&root, &mut settings);
    operation(&root, &mut settings);
    root.finish();
    settings
}

fn user_agents(section: Section<'_>, read: &mut super::UserAgents, base: &Path) {
    optional_path(&section, "regexes", &mut read.regexes, base);
    optional_path(&section, "crawlers", &mut read.crawlers, base);
    section.number("cache_entries", &mut read.cache_entries, 64..=1_000_000);
    let rates = 1..=100_000;
    section.number(
        "misses_per_second_max",
        &mut read.misses_per_second_max,
        rates,
    );
    section.finish();
}

fn journal(section: Section<'_>, journal: &mut super::Journal) {
    section.size("disk_budget", &mut journal.disk_budget, 16 * MIB..=1 << 50);
    section.duration("retention", &mut journal.retention_ms, 0..=3_660 * DAY);
    // A segment holds at least two of the largest records (1 MiB).
    section.size("segment_bytes", &mut journal.segment_bytes, 4 * MIB..=GIB);
    section.finish();
}

fn edge(section: Section<'_>, edge: &mut super::Edge, base: &Path) {
    listeners::read(&section, edge, base);
    section.word(
        "ack",
        &mut edge.ack,
        &[("journal", Ack::Journal), ("kafka", Ack::Kafka)],
    );
    section.duration("ack_timeout", &mut edge.ack_timeout_ms, 100..=5 * MINUTE);
    listeners::paths(&section, edge);
    bodies(&section, edge);
    section.size(
        "event_bytes_max",
        &mut edge.event_bytes_max,
        256..=512 * KIB,
    );
    section.number("batch_events_max", &mut edge.batch_events_max, 1..=100_000);
    // hyper reads headers into a buffer of no less than 8 KiB.
    section.size(
        "header_bytes_max",
        &mut edge.header_bytes_max,
        8 * KIB..=MIB,
    );
    section.number("headers_max", &mut edge.headers_max, 10..=1_000);
    section.duration(
        "header_timeout",
        &mut edge.header_timeout_ms,
        100..=10 * MINUTE,
    );
    section.number("connections_max", &mut edge.connections_max, 1..=1_000_000);
    section.duration(
        "idle_timeout",
        &mut edge.idle_timeout_ms,
        1_000..=60 * MINUTE,
    );
    section.number(
        "requests_per_connection_max",
        &mut edge.requests_per_connection_max,
        1..=1_000_000_000,
    );
    per_address(&section, edge);
    section.number("in_flight_max", &mut edge.in_flight_max, 1..=1_000_000);
    section.size(
        "buffered_bytes_max",
        &mut edge.buffered_bytes_max,
        2 * KIB..=1024 * GIB,
    );
    section.duration(
        "read_delay_target",
        &mut edge.read_delay_target_ms,
        2..=10_000,
    );
    section.duration("read_delay_max", &mut edge.read_delay_max_ms, 2..=10_000);
    section.duration("delay_max", &mut edge.delay_max_ms, 5..=10_000);
    section.number("h2_streams_max", &mut edge.h2_streams_max, 1..=10_000);
    section.number("h2_resets_max", &mut edge.h2_resets_max, 1..=10_000);
    section.finish();
}

/// What one request may hold.
fn bodies(section: &Section<'_>, edge: &mut super::Edge) {
    section.size("body_bytes_max", &mut edge.body_bytes_max, KIB..=256 * MIB);
    section.duration("body_timeout", &mut edge.body_timeout_ms, 100..=10 * MINUTE);
    section.number("members_max", &mut edge.members_max, 10..=100_000);
    section.size("lent_bytes_max", &mut edge.lent_bytes_max, KIB..=GIB);
}

fn identity(section: Section<'_>, identity: &mut super::Identity) {
    let found = section.get("placeholders");
    section.finish();
    let Some(found) = found else { return };
    let Some(list) = found.list() else { return };
    if list.len() > PLACEHOLDERS_MAX {
        found.fault(Reason::Range {
            given: format!("{} values", list.len()),
            least: "0".to_owned(),
            most: PLACEHOLDERS_MAX.to_string(),
        });
        return;
    }
    identity.placeholders = list.iter().filter_map(Found::text).collect();
}

fn per_address(section: &Section<'_>, edge: &mut super::Edge) {
    let limit = |key| {
        let found = section.get(key)?;
        found.number(&(1..=100_000_000)).and_then(NonZeroU32::new)
    };
    section.number(
        "connections_per_address_max",
        &mut edge.connections_per_address_max,
        0..=100_000_000,
    );
    edge.address_rate_limit = limit("address_rate_limit");
    section.number(
        "address_event_rate",
        &mut edge.address_event_rate,
        0..=1_000_000,
    );
    if let Some(max) = limit("bodies_per_address_max") {
        edge.bodies_per_address_max = max;
    }
}

fn cookie(section: Section<'_>, cookie: &mut super::Cookie) {
    if let Some(found) = section.get("name")
        && let Some(name) = found.text()
    {
        if is_cookie_name(&name) {
            cookie.name = name;
        } else {
            found.fault(Reason::Form {
                given: name,
                form: "a cookie name of 1 to 64 letters, digits, \"-\" or \"_\"",
                example: "\"__Host-tg_vid\"",
            });
        }
    }
    if let Some(found) = section.get("domain")
        && let Some(domain) = found.text()
    {
        if is_domain(domain.strip_prefix('.').unwrap_or(&domain)) {
            cookie.domain = Some(domain);
        } else {
            found.fault(Reason::Form {
                given: domain,
                form: "a domain",
                example: "\"example.com\"",
            });
        }
    }
    section.duration("lifetime", &mut cookie.lifetime_ms, MINUTE..=400 * DAY);
    section.finish();
}

fn admin(section: Section<'_>, admin: &mut super::Admin, base: &Path) {
    section.address("listen", &mut admin.listen);
    optional_path(&section, "token_file", &mut admin.token_file, base);
    section.size(
        "body_bytes_max",
        &mut admin.body_bytes_max,
        4 * KIB..=64 * MIB,
    );
    section.number("connections_max", &mut admin.connections_max, 1..=10_000);
    section.duration("timeout", &mut admin.timeout_ms, 100..=10 * MINUTE);
    admin.tls = admin_tls(section.section("tls"), base);
    section.finish();
}

fn admin_tls(section: Section<'_>, base: &Path) -> Option<AdminTls> {
    let (mut cert, mut key, mut client_ca) = (None, None, None);
    optional_path(&section, "cert", &mut cert, base);
    optional_path(&section, "key", &mut key, base);
    optional_path(&section, "client_ca", &mut client_ca, base);
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => Some(AdminTls {
            cert,
            key,
            client_ca,
        }),
        (None, None) if client_ca.is_none() => None,
        (Some(_), None) => {
            let remedy = "add key = \"admin-key.pem\"";
            section.fault("cert", needs("admin.tls.key", remedy));
            None
        }
        (None, found) => {
            let given = if found.is_some() { "key" } else { "client_ca" };
            let remedy = "add cert = \"admin-cert.pem\" and key = \"admin-key.pem\"";
            section.fault(given, needs("admin.tls.cert", remedy));
            None
        }
    };
    section.finish();
    tls
}

fn needs(needs: &'static str, remedy: &'static str) -> Reason {
    Reason::Needs { needs, remedy }
}

fn kafka(section: Section<'_>) -> Option<Kafka> {
    let mut kafka = Kafka::with_brokers(String::new());
    let present = section.is_present();
    let brokers = if present {
        section.require("brokers", "brokers = \"kafka-1:9092,kafka-2:9092\"")
    } else {
        section.get("brokers")
    };
    if let Some(found) = brokers
        && let Some(brokers) = found.words()
    {
        if brokers.split(',').all(is_broker) {
            kafka.brokers = brokers;
        } else {
            found.fault(Reason::Form {
                given: brokers,
                form: "a list of brokers with their ports",
                example: "\"kafka-1:9092,kafka-2:9092\"",
            });
        }
    }
    topic(&section, "topic", &mut kafka.topic);
    topic(&section, "transitions_topic", &mut kafka.transitions_topic);
    section.number("in_flight_max", &mut kafka.in_flight_max, 1..=10_000_000);
    section.number(
        "dead_letters_max",
        &mut kafka.dead_letters_max,
        0..=COUNT_MAX,
    );
    let properties = section.section("properties");
    for (name, found) in properties.free_keys() {
        if let Some(value) = check::kafka_property(&name, &found) {
            kafka.properties.push((name, value));
        }
    }
    section.finish();
    present.then_some(kafka)
}

fn activation(section: Section<'_>, activation: &mut super::Activation) {
    networks(&section, "allow_private", &mut activation.allow_private);
    section.number(
        "outbox_rows_max",
        &mut activation.outbox_rows_max,
        1..=COUNT_MAX,
    );
    activation.destination_rows_max = activation.outbox_rows_max.div_ceil(2);
    section.number(
        "destination_rows_max",
        &mut activation.destination_rows_max,
        1..=COUNT_MAX,
    );
    section.number(
        "dead_letters_max",
        &mut activation.dead_letters_max,
        1..=COUNT_MAX,
    );
    section.duration(
        "dead_letters_max_age",
        &mut activation.dead_letters_max_age_ms,
        60 * MINUTE..=3_650 * 24 * 60 * MINUTE,
    );
    section.finish();
}

/// The sections about the running process: liveness, reload, drain, telemetry.
fn operation(root: &Section<'_>, settings: &mut Settings) {
    let liveness = root.section("liveness");
    let bounds = &mut settings.liveness;
    liveness.duration(
        "cursor_stalled",
        &mut bounds.cursor_stalled_ms,
        SECOND..=60 * MINUTE,
    );
    liveness.duration(
        "durable_lag_max",
        &mut bounds.durable_lag_max_ms,
        SECOND..=60 * MINUTE,
    );
    liveness.finish();
    let reload = root.section("reload");
    let interval = &mut settings.reload.watch_interval_ms;
    reload.duration("watch_interval", interval, 0..=60 * MINUTE);
    reload.finish();
    let drain = root.section("drain");
    let times = &mut settings.drain;
    drain.duration(
        "readiness_delay",
        &mut times.readiness_delay_ms,
        0..=10 * MINUTE,
    );
    drain.duration("deadline", &mut times.deadline_ms, SECOND..=60 * MINUTE);
    drain.duration("hand_over", &mut times.hand_over_ms, 0..=MINUTE);
    drain.finish();
    let telemetry = root.section("telemetry");
    let told = &mut settings.telemetry;
    if let Some(found) = telemetry.get("log_format") {
        told.log_format = found.word(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    }
    telemetry.number("log_repeats_max", &mut told.log_repeats_max, 0..=1_000_000);
    telemetry.number("outcomes_max", &mut told.outcomes_max, 0..=1_000_000);
    telemetry.number("outcomes_sample", &mut told.outcomes_sample, 0..=COUNT_MAX);
    otlp(telemetry.section("otlp"), &mut told.otlp);
    telemetry.finish();
}

fn otlp(section: Section<'_>, otlp: &mut super::Otlp) {
    if let Some(found) = section.get("endpoint")
        && let Some(url) = found.text()
    {
        if is_url(&url) {
            otlp.endpoint = Some(url);
        } else {
            found.fault(Reason::Form {
                given: url,
                form: "an http or https URL without credentials",
                example: "\"http://127.0.0.1:4318/v1/traces\"",
            });
        }
    }
    section.number("sample", &mut otlp.sample, 0..=COUNT_MAX);
    section.number("queue_max", &mut otlp.queue_max, 16..=1_000_000);
    section.duration("timeout", &mut otlp.timeout_ms, 100..=5 * MINUTE);
    section.finish();
}

/// The sections about what is kept: dedup, profiles, checkpoint, timers, bad rows.
fn state(root: &Section<'_>, settings: &mut Settings) {
    let dedup = root.section("dedup");
    dedup.duration("window", &mut settings.dedup.window_ms, MINUTE..=7 * DAY);
    dedup.number(
        "entries_max",
        &mut settings.dedup.entries_max,
        1_000..=COUNT_MAX,
    );
    dedup.finish();
    let profiles = root.section("profiles");
    let kept = &mut settings.profiles;
    profiles.number("live_max", &mut kept.live_max, 1_000..=COUNT_MAX);
    profiles.size("traits_bytes_max", &mut kept.traits_bytes_max, 0..=64 * KIB);
    profiles.number("identifiers_max", &mut kept.identifiers_max, 2..=1_000);
    profiles.number(
        "merges_per_hour_max",
        &mut kept.merges_per_hour_max,
        0..=10_000,
    );
    profiles.number(
        "new_per_address_rate",
        &mut kept.new_per_address_rate,
        0..=1_000_000,
    );
    profiles.duration("retention", &mut kept.retention_ms, DAY..=3_650 * DAY);
    profiles.size("disk_max", &mut kept.disk_max, 16 * MIB..=1 << 50);
    profiles.finish();
    let checkpoint = root.section("checkpoint");
    checkpoint.number(
        "lag_records",
        &mut settings.checkpoint.lag_records,
        1_000..=COUNT_MAX,
    );
    checkpoint.finish();
    let timers = root.section("timers");
    timers.number("rate_max", &mut settings.timers.rate_max, 1..=1_000_000);
    timers.finish();
    let bad_rows = root.section("bad_rows");
    bad_rows.size(
        "bytes_max",
        &mut settings.bad_rows.bytes_max,
        64 * KIB..=64 * GIB,
    );
    bad_rows.duration(
        "retention",
        &mut settings.bad_rows.retention_ms,
        MINUTE..=3_660 * DAY,
    );
    bad_rows.finish();
}

pub(super) fn networks(section: &Section<'_>, key: &'static str, into: &mut Vec<Cidr>) {
    if let Some(list) = section.get(key).and_then(|found| found.list()) {
        let networks = list.iter().filter_map(Found::network);
        *into = networks
            .map(|(network, prefix)| Cidr { network, prefix })
            .collect();
    }
}

fn path(section: &Section<'_>, key: &'static str, into: &mut PathBuf, base: &Path) {
    let mut found = None;
    optional_path(section, key, &mut found, base);
    if let Some(path) = found {
        *into = path;
    }
}

/// A path of the file starts from the file's folder, one of a variable from where we run.
pub(super) fn optional_path(
    section: &Section<'_>,
    key: &'static str,
    into: &mut Option<PathBuf>,
    base: &Path,
) {
    if let Some(found) = section.get(key)
        && let Some(text) = found.words()
    {
        *into = Some(if found.span().is_some() {
            base.join(text)
        } else {
            PathBuf::from(text)
        });
    }
}

fn topic(section: &Section<'_>, key: &'static str, into: &mut String) {
    if let Some(found) = section.get(key)
        && let Some(name) = found.text()
    {
        if is_topic(&name) {
            *into = name;
        } else {
            found.fault(Reason::Form {
                given: name,
                form: "a topic name of 1 to 249 letters, digits, \".\", \"_\" or \"-\"",
                example: "\"tidegate.events\"",
            });
        }
    }
}
