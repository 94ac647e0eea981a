//! Every key of `tidegate.toml`, described. The reference and the example file are written from
//! this list; tests hold it against what [`super::file`] really reads.

use std::fmt::Write as _;

use super::change;
use crate::document::reader::variable_of;

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its full path.
    pub path: &'static str,
    /// Its default as TOML; None where it is unset.
    pub default: Option<&'static str>,
    /// A value that would do, for a key without default.
    pub sample: &'static str,
    /// What it does, in one sentence or two.
    pub doc: &'static str,
}

const fn set(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key {
        path,
        default: Some(default),
        sample: default,
        doc,
    }
}

const fn unset(path: &'static str, sample: &'static str, doc: &'static str) -> Key {
    Key {
        path,
        default: None,
        sample,
        doc,
    }
}

/// The list, in the order of the example file; a section's keys stand together.
pub const KEYS: &[Key] = &[
    set(
        "data_dir",
        "\"./tidegate-data\"",
        "Where journal, profiles, outbox and catalog live. One process at a time.",
    ),
    unset(
        "catalog",
        "\"catalog.toml\"",
        "The catalog file that is applied at start and on reload, where it was edited since it was last applied: what `tidegate apply` put over it stays until then. Without one, an empty data directory starts with the source `demo`.",
    ),
    set(
        "journal.disk_budget",
        "\"10GiB\"",
        "What journal, outbox, dead letters and bad rows may take together; at the budget hits are answered 503. A 64th of a segment is kept for the gateway's own records: catalog changes, session ends, wake-ups. At least 4 segments.",
    ),
    set(
        "journal.retention",
        "\"1d\"",
        "How long a record is kept after every required cursor has passed it. On a quiet site up to a quarter longer: a segment is closed at that age, and goes as a whole.",
    ),
    set(
        "journal.segment_bytes",
        "\"64MiB\"",
        "Size of one preallocated segment file.",
    ),
    set(
        "edge.http",
        "\"127.0.0.1:8080\"",
        "Where hits arrive, HTTP/1.1 and cleartext HTTP/2. Port 0 takes a free one.",
    ),
    unset(
        "edge.https",
        "\"0.0.0.0:8443\"",
        "Where hits arrive over TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2. Port 0 takes a free one.",
    ),
    set(
        "edge.http3",
        "true",
        "Serves HTTP/3 beside `https`, on the same port of UDP.",
    ),
    set(
        "edge.alt_svc_max_age",
        "\"1d\"",
        "How long browsers remember from an answer over TLS that there is HTTP/3 (`Alt-Svc`).",
    ),
    unset(
        "edge.alt_svc_port",
        "443",
        "The UDP port that browsers are told, where it is not that of `https`: behind a port mapping.",
    ),
    set(
        "edge.proxy_protocol",
        "[]",
        "Listeners, of `http` and `https`, whose connections begin with a PROXY protocol header, version 1 or 2. Others are closed. Only from `trusted_proxies` where there are any. With `https` here browsers are not told of HTTP/3.",
    ),
    set(
        "edge.trusted_proxies",
        "[]",
        "Peers whose word for address, scheme and host of a client is believed: addresses or ranges. One shorter than /8 (of IPv6: /16) is warned of, because it covers strangers.",
    ),
    set(
        "edge.client_ip_header",
        "\"x-forwarded-for\"",
        "The header in which they name the client. They must write or remove it themselves: one that they pass on speaks for anybody. `forwarded` reads RFC 7239; a CDN has its own, as `cf-connecting-ip`, `true-client-ip`, `fastly-client-ip`, `cloudfront-viewer-address`.",
    ),
    set(
        "edge.ack",
        "\"journal\"",
        "When a hit is answered 2xx: `journal` once it is on disk, `kafka` once Kafka acknowledged it as well.",
    ),
    set(
        "edge.ack_timeout",
        "\"10s\"",
        "How long `ack = \"kafka\"` waits before it answers 503.",
    ),
    set(
        "edge.path_prefix",
        "\"\"",
        "Every route is also served below this path, for a site's own host.",
    ),
    set(
        "edge.body_bytes_max",
        "\"4MiB\"",
        "A request body, as sent and as inflated; beyond it 413.",
    ),
    set(
        "edge.body_timeout",
        "\"30s\"",
        "How long a body may take to arrive; beyond it 408.",
    ),
    set(
        "edge.event_bytes_max",
        "\"32KiB\"",
        "One event together with its batch's `context`; beyond it that event is `too_large`.",
    ),
    set(
        "edge.batch_events_max",
        "2500",
        "Events in one request; beyond it 413.",
    ),
    set(
        "edge.members_max",
        "1000",
        "Members of one object in an event or in a batch's `context`; beyond it the event is `invalid`.",
    ),
    set(
        "edge.lent_bytes_max",
        "\"2MiB\"",
        "A batch's `context`, counted once for each of its events; beyond it events are `too_large`.",
    ),
    set(
        "edge.header_bytes_max",
        "\"40KiB\"",
        "All headers of a request together; at least 8KiB. Beyond it 431; an HTTP/3 connection whose client announces more is closed. How many CONTINUATION frames HTTP/2 may take for them follows from it.",
    ),
    set(
        "edge.headers_max",
        "100",
        "Header lines of one request; beyond it 431.",
    ),
    set(
        "edge.header_timeout",
        "\"10s\"",
        "How long the headers of a request may take to arrive, the first request included.",
    ),
    set(
        "edge.idle_timeout",
        "\"75s\"",
        "A connection without a request, HTTP/1.1 or HTTP/2, is closed after it. It and `edge.header_timeout` are kept to within some milliseconds, from the last answer, or of a head from its first byte.",
    ),
    set(
        "edge.requests_per_connection_max",
        "1000000",
        "Requests of one connection, of any version of HTTP. With the last of them it is closed in order; what a client sends beyond it is not answered.",
    ),
    set(
        "edge.connections_max",
        "65536",
        "Open connections. Where all are taken, a client that waits for one gets the place of the one that has rested longest without a request, a quarter of a second at least; while none rests so long, clients wait, and those of HTTP/3 are refused.",
    ),
    set(
        "edge.connections_per_address_max",
        "1000",
        "Open connections of one client address (of IPv6: one /64); further ones are closed at once. Trusted proxies and loopback are not limited. `0` sets no bound.",
    ),
    unset(
        "edge.address_rate_limit",
        "1000",
        "Requests a second of one client address (of IPv6: one /64), with a burst of one second; beyond it 429. A source's own limit is `rate_limit` in the catalog.",
    ),
    set(
        "edge.address_event_rate",
        "200",
        "Events a second of one client address (of IPv6: one /64), with a burst of two seconds; further ones are `rate_limited`, answered 429 with Retry-After, and are not taken off the source's `rate_limit`. A second copy, server sources and loopback are not charged. `0` sets no bound.",
    ),
    set(
        "edge.bodies_per_address_max",
        "1024",
        "Requests of one client address (of IPv6: one /64) whose body has not arrived yet; beyond it 503. Those that are complete at once are not limited.",
    ),
    set(
        "edge.in_flight_max",
        "16384",
        "Requests in work at once; beyond it 503. At most half of them may wait for their bodies.",
    ),
    set(
        "edge.buffered_bytes_max",
        "\"256MiB\"",
        "All request bodies in memory together, as sent and as inflated; beyond it 503. Those that do not come in one go find half of it. At least twice `edge.body_bytes_max`. Answers of more than 4 KiB that clients have not taken may be half as much beside; beyond it 503.",
    ),
    set(
        "edge.read_delay_target",
        "\"150ms\"",
        "How long requests may wait to be read. Where they wait longer for 100 ms on end, those that waited so long are answered 503 at once, the younger ones are let in.",
    ),
    set(
        "edge.read_delay_max",
        "\"250ms\"",
        "Where so many come that refusing takes most of the processor, requests are let in that waited longer than `edge.read_delay_target`, but never longer than this.",
    ),
    set(
        "edge.delay_max",
        "\"1s\"",
        "How long records may wait for the disk; beyond it every request is answered 503 at once.",
    ),
    set(
        "edge.h2_streams_max",
        "128",
        "Streams of one HTTP/2 connection.",
    ),
    set(
        "edge.h2_resets_max",
        "64",
        "Streams of one HTTP/2 connection that its client may have reset before they were looked at; beyond it the connection is closed (rapid reset, CVE-2023-44487).",
    ),
    set(
        "edge.h3_streams_max",
        "128",
        "Requests of one HTTP/3 connection at once.",
    ),
    set(
        "edge.h3_idle_timeout",
        "\"30s\"",
        "An HTTP/3 connection without a request is closed after it.",
    ),
    set(
        "edge.h3_receive_window",
        "\"1MiB\"",
        "Bytes that an HTTP/3 connection may have sent ahead of what is read.",
    ),
    set(
        "edge.h3_retry_handshakes",
        "256",
        "HTTP/3 handshakes under way from which on a new client has to prove its address first (Retry). 0 asks every client.",
    ),
    unset(
        "edge.tls.cert",
        "\"cert.pem\"",
        "Certificate chain of `https`, PEM, the host's own first. Without one a self-signed pair is made in `data_dir`, which no browser trusts.",
    ),
    unset("edge.tls.key", "\"key.pem\"", "Its private key, PEM."),
    set(
        "edge.tls.certificates",
        "[]",
        "Further pairs, `{ cert = \"b.pem\", key = \"b-key.pem\" }`, each for the hosts that its certificate names.",
    ),
    set(
        "edge.tls.handshake_timeout",
        "\"10s\"",
        "How long a TLS handshake may take, and then an HTTP/3 client to let us open our streams.",
    ),
    set(
        "edge.tls.reload_interval",
        "\"10s\"",
        "How often the files are looked at. Changed ones are taken without a restart; bad ones change nothing.",
    ),
    unset(
        "edge.tls.acme.domains",
        "[\"t.example.com\"]",
        "Names to get a certificate for by ACME (RFC 8555), at most 100 and no wildcards. The authority proves each by TLS-ALPN-01 (RFC 8737): port 443 of the name has to lead to `https` with nothing in between that ends TLS. Needs `terms_agreed`. Until the first certificate is there, `edge.tls.cert` or a self-signed pair stands in.",
    ),
    set(
        "edge.tls.acme.contact",
        "[]",
        "Mail addresses that the authority may write to, at most 10.",
    ),
    set(
        "edge.tls.acme.directory",
        "\"https://acme-v02.api.letsencrypt.org/directory\"",
        "The authority's directory. Try `https://acme-staging-v02.api.letsencrypt.org/directory` first: its limits are wide, and no browser trusts its certificates.",
    ),
    unset(
        "edge.tls.acme.terms_agreed",
        "true",
        "`true` says that you agree to the authority's terms of service. Without it nothing is ordered.",
    ),
    unset(
        "edge.tls.acme.root",
        "\"acme-root.pem\"",
        "Who signs the directory's own certificate, PEM: for an authority of your own. Unset, the roots that browsers trust.",
    ),
    unset(
        "edge.paths.tag",
        "\"/assets/site.js\"",
        "A further path of `/tag.js`, on a site's own host; its version for ever is `/assets/site.HASH.js`, HASH being its ETag. The tag at this path sends to `edge.paths.events`, or else to `/v1/events` below `path_prefix`, on the host it came from. All paths of this section differ, also from those that are always there.",
    ),
    unset(
        "edge.paths.events",
        "\"/assets/e\"",
        "A further path of `/v1/events`. The tag at `edge.paths.tag` sends here; the one at `/tag.js` goes on to send to `v1/events` next to itself.",
    ),
    unset(
        "edge.paths.pixel",
        "\"/assets/p.gif\"",
        "A further path of `/v1/pixel.gif`.",
    ),
    unset(
        "edge.paths.segments",
        "\"/assets/s\"",
        "A further path of `/v1/segments`.",
    ),
    set(
        "cookie.name",
        "\"__Host-tg_vid\"",
        "Name of the first-party cookie. On cleartext loopback `__Host-` is left off.",
    ),
    unset(
        "cookie.domain",
        "\"example.com\"",
        "Domain of the cookie; unset, only the host that set it gets it. Not with a `__Host-` name.",
    ),
    set(
        "cookie.lifetime",
        "\"400d\"",
        "How long browsers keep the cookie; 400 days is the most they do.",
    ),
    set(
        "identity.placeholders",
        "[]",
        "Values of `userId`, `anonymousId`, `previousId` and `messageId` that name no one and are dropped, beside the built-in ones (`null`, `guest`, zeros, ...); at most 10,000. Case does not count.",
    ),
    set(
        "admin.listen",
        "\"127.0.0.1:9180\"",
        "Health, readiness, metrics and the admin API. Port 0 takes a free one.",
    ),
    unset(
        "admin.token_file",
        "\"admin.token\"",
        "File with the bearer token, at least 16 characters, or with `sha256:` and its SHA-256 in hex. Required where `listen` is not loopback and clients have no certificates.",
    ),
    set(
        "admin.body_bytes_max",
        "\"4MiB\"",
        "A request body of the admin API: a catalog.",
    ),
    set(
        "admin.connections_max",
        "64",
        "Open admin connections; a further one takes the place of the one that has waited longest for its client, also for a body, and waits while all are at work. At most half of them may be at work, eight of these as tests of destinations and one as a reload: further requests are answered 429 or 409, so that probes find a place.",
    ),
    set(
        "admin.timeout",
        "\"30s\"",
        "How long one admin request may take to arrive, and a client to read its answer.",
    ),
    unset(
        "admin.tls.cert",
        "\"admin-cert.pem\"",
        "Certificate chain of the admin listener, PEM; with it, it speaks TLS only. Read at start.",
    ),
    unset(
        "admin.tls.key",
        "\"admin-key.pem\"",
        "Key of `admin.tls.cert`, PEM.",
    ),
    unset(
        "admin.tls.client_ca",
        "\"admin-clients.pem\"",
        "Who signs clients' certificates, PEM. With it, nobody without one is answered, probes included.",
    ),
    unset(
        "kafka.brokers",
        "\"127.0.0.1:9092\"",
        "Brokers to start from. Without this section nothing is sent to Kafka.",
    ),
    set(
        "kafka.topic",
        "\"tidegate.events\"",
        "Where events go, keyed by profile.",
    ),
    set(
        "kafka.transitions_topic",
        "\"tidegate.transitions\"",
        "Where segment transitions go, keyed by profile.",
    ),
    set(
        "kafka.in_flight_max",
        "100000",
        "Records handed to the producer and not yet acknowledged.",
    ),
    set(
        "kafka.dead_letters_max",
        "10000",
        "Records kept that Kafka refused for good; oldest out.",
    ),
    unset(
        "kafka.properties",
        "{ \"compression.type\" = \"lz4\" }",
        "Further librdkafka properties, as they are. Those that the promises rest on (`acks`, idempotence, timeouts) are refused.",
    ),
    unset(
        "geoip.city",
        "\"City.mmdb\"",
        "A MaxMind City or Country database.",
    ),
    unset("geoip.asn", "\"ASN.mmdb\"", "A MaxMind ASN database."),
    unset(
        "user_agents.regexes",
        "\"regexes.json\"",
        "uap-core's regexes, which name device, system and browser, instead of those of this build. `make user-agents` writes such a file.",
    ),
    unset(
        "user_agents.crawlers",
        "\"crawler-user-agents.json\"",
        "The list of crawlers, as the npm package `crawler-user-agents` has it, instead of that of this build.",
    ),
    set(
        "user_agents.cache_entries",
        "8192",
        "User agents whose device is kept in memory, at most about 1 KiB each.",
    ),
    set(
        "user_agents.misses_per_second_max",
        "1000",
        "User agents beside the kept ones that are parsed in one second, with a burst of `cache_entries`. Beyond it `device.class` is `unknown`.",
    ),
    set(
        "activation.allow_private",
        "[]",
        "Private addresses or ranges that a destination may reach; all others are refused.",
    ),
    set(
        "activation.outbox_rows_max",
        "1000000",
        "Callbacks waiting, all destinations together. Half of them is kept for the destinations in equal parts, the rest goes to the first that needs it. A visitor and segment with callbacks takes about 60 bytes of memory.",
    ),
    unset(
        "activation.destination_rows_max",
        "250000",
        "Callbacks waiting for one destination; unset, half of `activation.outbox_rows_max`, which it may not exceed. A visitor has at most four for each segment: a further change replaces the newest that was not sent yet. With a `linger`, while the destination is held back, and past half of this bound only the latest waits. The last quarter is for visitors without any. At one of these two bounds a destination that delivers is waited for, a second at most; beyond, its changes become dead letters (`outbox_full`). The others go on.",
    ),
    set(
        "activation.dead_letters_max",
        "10000",
        "Dead letters kept for each destination, the newest of each visitor and segment. Beyond it the visitor with the most loses the oldest. A letter takes about 300 bytes of memory.",
    ),
    set(
        "activation.dead_letters_max_age",
        "\"30d\"",
        "How long a dead letter is kept.",
    ),
    set(
        "dedup.window",
        "\"1d\"",
        "How long a message id is remembered.",
    ),
    set(
        "dedup.entries_max",
        "4000000",
        "How many message ids are remembered; oldest out.",
    ),
    set(
        "profiles.live_max",
        "2000000",
        "Profiles kept in memory; beyond it written ones are evicted. Above it and an eighth more (at least 1,024) a new profile's event is answered `overloaded`.",
    ),
    set(
        "profiles.traits_bytes_max",
        "\"2KiB\"",
        "Accumulated traits of one profile.",
    ),
    set(
        "profiles.identifiers_max",
        "50",
        "Identifiers of one profile; a merge beyond it is refused.",
    ),
    set(
        "profiles.merges_per_hour_max",
        "20",
        "Merges into one profile within the hour that begins with the first of them; further ones are refused.",
    ),
    set(
        "profiles.new_per_address_rate",
        "50",
        "New profiles a second that one client address (of IPv6: one /64) may make, with a burst of one minute; beyond it `rate_limited`. Known visitors, server sources and loopback are not charged. `0` sets no bound.",
    ),
    set(
        "profiles.retention",
        "\"400d\"",
        "A stored profile is removed, with its identifiers and timers, when its last event is this old. Its visitor begins anew.",
    ),
    set(
        "profiles.disk_max",
        "\"8GiB\"",
        "Bytes of stored profiles (rows, identifiers and due times, before compression); beyond it the oldest are removed until a tenth is free.",
    ),
    set(
        "checkpoint.lag_records",
        "5000000",
        "A profile is written when its oldest unwritten change is this many records behind; also what a restart reads at most.",
    ),
    set(
        "timers.rate_max",
        "5000",
        "Timers (session ends, wake-ups) fired a second, at most.",
    ),
    set(
        "bad_rows.bytes_max",
        "\"64MiB\"",
        "Bad rows kept, masked; oldest out.",
    ),
    set(
        "bad_rows.retention",
        "\"7d\"",
        "Age at which bad rows go, at the latest.",
    ),
    set(
        "liveness.cursor_stalled",
        "\"30s\"",
        "A cursor that has records before it and has not moved for so long is stalled: in the log, in `tidegate_cursor_stalled_seconds`, in `/readyz?verbose`.",
    ),
    set(
        "liveness.durable_lag_max",
        "\"10s\"",
        "How long a record may wait to become durable. Beyond it the disk hangs: `/readyz`, and `/healthz` on the edge's port, answer 503 until it answers.",
    ),
    set(
        "reload.watch_interval",
        "\"1s\"",
        "How often settings, catalog, GeoIP and user agent files are looked at; a changed one is reloaded. `0s` leaves it to SIGHUP and `tidegate reload`.",
    ),
    set(
        "drain.readiness_delay",
        "\"0s\"",
        "How long after SIGTERM requests are still taken while `/readyz`, and `/healthz` on the edge's port, already say no, so that a balancer can look away. A second signal ends it.",
    ),
    set(
        "drain.deadline",
        "\"30s\"",
        "How long after that the gateway may take to finish. Requests in work get two thirds of it, longer ones are cut off; callbacks under way a sixth (5 s at most); journal, Kafka and checkpoint what is left. What is not done then goes on with the next start.",
    ),
    set(
        "drain.hand_over",
        "\"1s\"",
        "How long requests in work may take when a new process takes over; new connections wait meanwhile, longer ones are cut off.",
    ),
    unset(
        "telemetry.log_format",
        "\"json\"",
        "`text` or `json`; unset, text for a terminal and JSON for everything else.",
    ),
    set(
        "telemetry.log_repeats_max",
        "20",
        "How often one message is logged within a minute; further ones are counted, and the count is logged. 0 logs all.",
    ),
    set(
        "telemetry.outcomes_max",
        "1000",
        "Outcomes kept in memory for `/debug/outcomes`; oldest out. 0 keeps none.",
    ),
    set(
        "telemetry.outcomes_sample",
        "100",
        "Of accepted events every this many is kept there; of all others each one. 0 keeps no accepted one.",
    ),
    unset(
        "telemetry.otlp.endpoint",
        "\"http://127.0.0.1:4318/v1/traces\"",
        "Where an OpenTelemetry collector takes traces, as OTLP over HTTP (protobuf). Unset, nothing is traced. Credentials come by the variable `OTEL_EXPORTER_OTLP_HEADERS`, further attributes of this instance by `OTEL_RESOURCE_ATTRIBUTES`.",
    ),
    set(
        "telemetry.otlp.sample",
        "1000",
        "One request, and one delivery, in so many is traced, at random; 1 traces all, 0 none. A `traceparent` of one of `edge.trusted_proxies` decides for its request instead.",
    ),
    set(
        "telemetry.otlp.queue_max",
        "4096",
        "Spans waiting to be sent; further ones are dropped and counted.",
    ),
    set(
        "telemetry.otlp.timeout",
        "\"10s\"",
        "How long a batch of spans may take to be sent. One that was not is counted, and not sent again.",
    ),
];

/// `deploy/tidegate.example.toml`: every key with its default; keys without one, and the whole of
/// `[kafka]`, in comments.
#[must_use]
pub fn example() -> String {
    let mut out = String::from(
        "# Tidegate's settings, each with its default. Written from the code: see docs/config.md.\n\
         # A line that begins with \"#\" and a key shows a setting that is unset by default.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (own, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        // [kafka] turns forwarding on by being there at all.
        let off = own == "kafka" || own == "geoip";
        if own != section {
            section = own;
            let _ = write!(out, "\n{}[{own}]\n", if off { "#" } else { "" });
        }
        let _ = match key.default {
            Some(default) if !off => writeln!(out, "{name} = {default}"),
            Some(_) | None => writeln!(out, "#{name} = {}", key.sample),
        };
    }
    out
}

/// `docs/config.md`.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut section = None;
    for key in KEYS {
        let own = key.path.split_once('.').map_or("", |(own, _)| own);
        if section != Some(own) {
            section = Some(own);
            let title = if own.is_empty() {
                "Top level".to_owned()
            } else {
                format!("`[{own}]`")
            };
            let _ = write!(
                out,
                "\n## {title}\n\n| key | default | change | what it does |\n|---|---|---|---|\n"
            );
        }
        row(&mut out, key);
    }
    out
}

fn row(out: &mut String, key: &Key) {
    let default = key.default.map_or_else(
        || format!("unset, as in `{}`", key.sample),
        |default| format!("`{default}`"),
    );
    let when = change::when(key.path).map_or("", change::When::as_str);
    let _ = writeln!(out, "| `{}` | {default} | {when} | {} |", key.path, key.doc);
}

const INTRODUCTION: &str = "\
# Settings

`tidegate serve --config tidegate.toml` reads one TOML file. Without it every default below holds.
`tidegate check tidegate.toml catalog.toml` reads files as the gateway would and prints every
mistake with its line and column.

- A key that stands in none of these tables is an error, so that a slip is never silently a default.
- Lengths of time are a whole number and `ms`, `s`, `m`, `h` or `d`: `\"30m\"`. Sizes are a whole
  number and `B`, `KiB`, `MiB`, `GiB` or `TiB`: `\"10GiB\"`.
- Relative paths start from the folder of the file.
- An environment variable overrides the file: `TIDEGATE__EDGE__HTTP` is `edge.http`. Its text is the
  value without quotes; lists are parted by commas. A variable with that beginning that overrides
  nothing is an error too. `TIDEGATE__KAFKA__PROPERTIES__SECURITY_PROTOCOL` is the producer property
  `security.protocol`.
- A change takes effect on reload where the table says `live`, and with the next start where it says
  `restart`. A reload comes by SIGHUP, by `tidegate reload`, by `POST /admin/v1/reload`, or by itself
  when a file changes. It happens as a whole or, where a file has a mistake, not at all; it names
  what changed and what waits for a restart.
- `TIDEGATE_LOG` (or `--log`) sets what is logged: `info` by default, `debug`, or by module as in
  `info,tidegate_collector::edge=debug`.

This page is written from the code; a test fails when they differ.
";

/// The variable that overrides `key`.
#[must_use]
pub fn variable(key: &Key) -> String {
    variable_of(key.path)
}
