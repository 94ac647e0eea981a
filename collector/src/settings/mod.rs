//! `tidegate.toml` as used: checked, with defaults filled in.
//!
//! [`mod@file`] reads the keys, [`check`] weighs them against each other, [`caution`] warns of some, [`change`] compares two
//! settings, [`keys`] describes them for people; [`load`] alone opens a file. Nothing here reads the process's environment.

pub mod keys;
mod form;
pub mod file;
mod listeners;
pub mod check;
mod paths;
pub mod caution;
pub mod change;
pub mod load;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use http::HeaderName;

pub use paths::BUILT_IN_PATHS;

/// Everything the gateway can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where journal, profiles and catalog live.
    pub data_dir: PathBuf,
    /// The catalog file to apply at start and reload.
    pub catalog: Option<PathBuf>,
    /// `[journal]`
    pub journal: Journal,
    /// `[edge]`
    pub edge: Edge,
    /// `[cookie]`
    pub cookie: Cookie,
    /// `[identity]`
    pub identity: Identity,
    /// `[admin]`
    pub admin: Admin,
    /// `[kafka]`; None: no forwarding.
    pub kafka: Option<Kafka>,
    /// `[geoip]`
    pub geoip: Geoip,
    /// `[user_agents]`
    pub user_agents: UserAgents,
    /// `[activation]`
    pub activation: Activation,
    /// `[dedup]`
    pub dedup: Dedup,
    /// `[profiles]`
    pub profiles: Profiles,
    /// `[checkpoint]`
    pub checkpoint: Checkpoint,
    /// `[timers]`
    pub timers: Timers,
    /// `[bad_rows]`
    pub bad_rows: BadRows,
    /// `[liveness]`
    pub liveness: Liveness,
    /// `[reload]`
    pub reload: Reload,
    /// `[drain]`
    pub drain: Drain,
    /// `[telemetry]`
    pub telemetry: Telemetry,
}

/// `[journal]`
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// Bytes that journal, outbox, dead letters and bad rows may take together.
    pub disk_budget: u64,
    /// How long sealed segments are kept after every required cursor passed them.
    pub retention_ms: u64,
    /// Bytes of one preallocated segment.
    pub segment_bytes: u64,
}

/// When a 2xx may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// After fdatasync of the journal.
    Journal,
    /// After Kafka's acks=all as well.
    Kafka,
}

/// An address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// Its first address.
    pub network: IpAddr,
    /// Bits that count.
    pub prefix: u8,
}

/// `[edge]`
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Cleartext listener.
    pub http: SocketAddr,
    /// TLS listener; None: cleartext only.
    pub https: Option<SocketAddr>,
    /// `[edge.tls]`
    pub tls: Tls,
    /// Whether HTTP/3 is served beside `https`, on the same port of UDP.
    pub http3: bool,
    /// What of HTTP/3 has limits of its own.
    pub h3: Http3,
    /// How long a browser may remember that there is HTTP/3.
    pub alt_svc_max_age_ms: u64,
    /// The UDP port that browsers are told; None: that of `https`.
    pub alt_svc_port: Option<u16>,
    /// Whose connections begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocol,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// The header in which they name the client.
    pub client_ip_header: HeaderName,
    /// When a 2xx may be sent.
    pub ack: Ack,
    /// How long `ack = "kafka"` waits before it answers 503.
    pub ack_timeout_ms: u64,
    /// Every route is also served under it; empty or `/like-this`.
    pub path_prefix: String,
    /// `[edge.paths]`
    pub paths: Paths,
    /// A body's bytes, as sent and inflated each.
    pub body_bytes_max: usize,
    /// How long a body may take.
    pub body_timeout_ms: u64,
    /// One event's bytes.
    pub event_bytes_max: usize,
    /// Events in one batch.
    pub batch_events_max: usize,
    /// Members of one JSON object.
    pub members_max: usize,
    /// A batch's context, counted once for each of its events.
    pub lent_bytes_max: usize,
    /// All request headers together.
    pub header_bytes_max: usize,
    /// Header lines of one request.
    pub headers_max: usize,
    /// How long the headers may take.
    pub header_timeout_ms: u64,
    /// Open connections.
    pub connections_max: usize,
    /// How long a connection may be open without a request.
    pub idle_timeout_ms: u64,
    /// Requests after which a connection is closed in order.
    pub requests_per_connection_max: u64,
    /// Open connections of one client address; 0 sets no bound.
    pub connections_per_address_max: u32,
    /// Requests a second of one client address; None: no limit.
    pub address_rate_limit: Option<NonZeroU32>,
    /// Events a second of one client address; 0 sets no bound.
    pub address_event_rate: u32,
    /// Requests of one client address whose bodies have not arrived; beyond it 503.
    pub bodies_per_address_max: NonZeroU32,
    /// Requests in work at once; beyond it 503.
    pub in_flight_max: usize,
    /// Bytes of all request bodies in memory; beyond it 503.
    pub buffered_bytes_max: usize,
    /// Wait to be read that requests may have all the time.
    pub read_delay_target_ms: u64,
    /// Wait to be read beyond which no request is let in under overload.
    pub read_delay_max_ms: u64,
    /// Wait for the disk beyond which every request is refused.
    pub delay_max_ms: u64,
    /// HTTP/2 streams of one connection.
    pub h2_streams_max: u32,
    /// HTTP/2 streams that a client may have reset before they were looked at.
    pub h2_resets_max: usize,
}

/// `[edge.tls]`
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// The pair for clients that name no host or an unknown one; None: a self-signed pair.
    pub pair: Option<CertificateFiles>,
    /// Further pairs, each for the hosts that its certificate names.
    pub certificates: Vec<CertificateFiles>,
    /// `[edge.tls.acme]`
    pub acme: Acme,
    /// How long a handshake may take.
    pub handshake_timeout_ms: u64,
    /// How often the files are looked at.
    pub reload_interval_ms: u64,
}

/// `[edge.tls.acme]`: a certificate from an authority that speaks ACME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// The names that it is for; none: it is off.
    pub domains: Vec<String>,
    /// Mail addresses that the authority may write to.
    pub contact: Vec<String>,
    /// The authority's directory.
    pub directory: String,
    /// Whether its terms of service are agreed to.
    pub terms_agreed: bool,
    /// Who signs the directory's own certificate; None: whom browsers trust.
    pub root: Option<PathBuf>,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the host's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Limits of HTTP/3.
#[derive(Clone, Debug, PartialEq)]
pub struct Http3 {
    /// Requests of one connection at once.
    pub streams_max: u32,
    /// A connection without a request is closed after it.
    pub idle_timeout_ms: u64,
    /// Bytes of one connection received and not yet read.
    pub receive_window_bytes: u32,
    /// Handshakes under way from which on new clients have to prove their address.
    pub retry_handshakes: usize,
}

/// Which listeners expect a PROXY protocol header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// `edge.http`
    pub http: bool,
    /// `edge.https`, before the handshake.
    pub https: bool,
}

/// `[edge.paths]`: further paths of endpoints, on a site's own host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// Of the tag.
    pub tag: Option<String>,
    /// Of the events.
    pub events: Option<String>,
    /// Of the pixel.
    pub pixel: Option<String>,
    /// Of the segments.
    pub segments: Option<String>,
}

/// `[cookie]`
#[derive(Clone, Debug, PartialEq)]
pub struct Cookie {
    /// Its name; `__Host-tg_vid` by default (`tg_vid` on cleartext loopback).
    pub name: String,
    /// Its domain; None is host-only. A `__Host-` name allows none.
    pub domain: Option<String>,
    /// Its lifetime; 400 days by default.
    pub lifetime_ms: u64,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Its listener.
    pub listen: SocketAddr,
    /// File with the bearer token; this or client certificates are required when not loopback.
    pub token_file: Option<PathBuf>,
    /// `[admin.tls]`; None: cleartext.
    pub tls: Option<AdminTls>,
    /// A request body's bytes (a catalog).
    pub body_bytes_max: usize,
    /// Open connections.
    pub connections_max: usize,
    /// How long one request may take, headers included.
    pub timeout_ms: u64,
}

/// `[admin.tls]`
#[derive(Clone, Debug, PartialEq)]
pub struct AdminTls {
    /// The listener's certificate chain, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Who signs the clients' certificates; None: they need none.
    pub client_ca: Option<PathBuf>,
}

/// `[kafka]`
#[derive(Clone, Debug, PartialEq)]
pub struct Kafka {
    /// `bootstrap.servers`
    pub brokers: String,
    /// Events.
    pub topic: String,
    /// Transitions.
    pub transitions_topic: String,
    /// Records handed to the producer and not yet acknowledged.
    pub in_flight_max: usize,
    /// Dead letters kept.
    pub dead_letters_max: usize,
    /// Further producer properties (`security.protocol` and the like), passed on as they are.
    pub properties: Vec<(String, String)>,
}

/// `[geoip]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Geoip {
    /// A City or Country database.
    pub city: Option<PathBuf>,
    /// An ASN database.
    pub asn: Option<PathBuf>,
}

/// `[user_agents]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAgents {
    /// uap-core's regexes; None: those of the build.
    pub regexes: Option<PathBuf>,
    /// The list of crawlers; None: that of the build.
    pub crawlers: Option<PathBuf>,
    /// Results kept.
    pub cache_entries: usize,
    /// User agents parsed in one second.
    pub misses_per_second_max: u32,
}

impl Default for UserAgents {
    fn default() -> Self {
        Self {
            regexes: None,
            crawlers: None,
            cache_entries: 8_192,
            misses_per_second_max: 1_000,
        }
    }
}

/// `[activation]`
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// Private addresses a destination may reach.
    pub allow_private: Vec<Cidr>,
    /// Rows waiting in the outbox, all destinations together.
    pub outbox_rows_max: usize,
    /// Rows waiting for one destination.
    pub destination_rows_max: usize,
    /// Dead letters kept for each destination.
    pub dead_letters_max: usize,
    /// How long a dead letter is kept.
    pub dead_letters_max_age_ms: u64,
}

/// `[dedup]`
#[derive(Clone, Debug, PartialEq)]
pub struct Dedup {
    /// How long a key is remembered.
    pub window_ms: u64,
    /// How many are.
    pub entries_max: usize,
}

/// `[profiles]`
#[derive(Clone, Debug, PartialEq)]
pub struct Profiles {
    /// Profiles kept in memory; those beyond it are evicted, and above a slack new ones refused.
    pub live_max: usize,
    /// Bytes of accumulated traits of one profile.
    pub traits_bytes_max: usize,
    /// Identifiers of one profile (a merge or attachment beyond it is refused).
    pub identifiers_max: usize,
    /// Merges into one profile within an hour.
    pub merges_per_hour_max: u32,
    /// New profiles a second of one client address; 0 sets no bound.
    pub new_per_address_rate: u32,
    /// A stored profile is removed when its last event is this old.
    pub retention_ms: u64,
    /// Bytes that stored profiles may take; the oldest are removed.
    pub disk_max: u64,
}

/// `[checkpoint]`
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// A profile is written when its oldest unwritten change is this many records behind.
    pub lag_records: u64,
}

/// `[timers]`
#[derive(Clone, Debug, PartialEq)]
pub struct Timers {
    /// Timers fired a second, at most.
    pub rate_max: u32,
}

/// `[identity]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// Identifiers that name no one, beside the built-in ones.
    pub placeholders: Vec<String>,
}

/// `[bad_rows]`
#[derive(Clone, Debug, PartialEq)]
pub struct BadRows {
    /// Bytes of bad rows kept; oldest out.
    pub bytes_max: u64,
    /// Age at which they go.
    pub retention_ms: u64,
}

/// `[liveness]`
#[derive(Clone, Debug, PartialEq)]
pub struct Liveness {
    /// How long a cursor with records before it may not move.
    pub cursor_stalled_ms: u64,
    /// How long a record may wait to become durable before the gateway is not ready.
    pub durable_lag_max_ms: u64,
}

/// `[reload]`
#[derive(Clone, Debug, PartialEq)]
pub struct Reload {
    /// How often files are looked at; 0: never.
    pub watch_interval_ms: u64,
}

/// `[drain]`
#[derive(Clone, Debug, PartialEq)]
pub struct Drain {
    /// Requests are still taken for so long after readiness is gone.
    pub readiness_delay_ms: u64,
    /// How long the rest of the end may take.
    pub deadline_ms: u64,
    /// How long requests in work may take when another process takes over.
    pub hand_over_ms: u64,
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// None: text for a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// Times one message is logged within a minute; 0: always.
    pub log_repeats_max: u32,
    /// Outcomes kept in memory.
    pub outcomes_max: usize,
    /// Of accepted events every this many is kept; 0: none.
    pub outcomes_sample: u32,
    /// `[telemetry.otlp]`
    pub otlp: Otlp,
}

/// `[telemetry.otlp]`: traces for an OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Where it takes traces; None: nothing is traced.
    pub endpoint: Option<String>,
    /// One request in so many is traced; 0: none.
    pub sample: u32,
    /// Spans waiting to be sent; further ones are dropped.
    pub queue_max: usize,
    /// How long one batch may take to be sent.
    pub timeout_ms: u64,
}

impl Cidr {
    /// True where `address` is in the range; an IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32)));
                (network.to_bits() ^ address.to_bits()) & mask.unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128)));
                (network.to_bits() ^ address.to_bits()) & mask.unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl Admin {
    /// True where every client proves itself by a certificate.
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

impl Kafka {
    /// `[kafka]` with nothing but its brokers.
    #[must_use]
    pub fn with_brokers(brokers: String) -> Self {
        Self {
            brokers,
            topic: "tidegate.events".to_owned(),
            transitions_topic: "tidegate.transitions".to_owned(),
            in_flight_max: 100_000,
            dead_letters_max: 10_000,
            properties: Vec::new(),
        }
    }
}

impl Default for Settings {
    #[expect(clippy::too_many_lines, reason = "one list, read as one")]
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            data_dir: PathBuf::from("./tidegate-data"),
            catalog: None,
            journal: Journal {
                disk_budget: 10 << 30,
                retention_ms: 24 * 3_600_000,
                segment_bytes: 64 << 20,
            },
            edge: Edge {
                http: loopback(8080),
                https: None,
                tls: Tls {
                    pair: None,
                    certificates: Vec::new(),
                    acme: Acme {
                        domains: Vec::new(),
                        contact: Vec::new(),
                        directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
                        terms_agreed: false,
                        root: None,
                    },
                    handshake_timeout_ms: 10_000,
                    reload_interval_ms: 10_000,
                },
                http3: true,
                h3: Http3 {
                    streams_max: 128,
                    idle_timeout_ms: 30_000,
                    receive_window_bytes: 1 << 20,
                    retry_handshakes: 256,
                },
                alt_svc_max_age_ms: 86_400_000,
                alt_svc_port: None,
                proxy_protocol: ProxyProtocol::default(),
                trusted_proxies: Vec::new(),
                client_ip_header: HeaderName::from_static("x-forwarded-for"),
                ack: Ack::Journal,
                ack_timeout_ms: 10_000,
                path_prefix: String::new(),
                paths: Paths::default(),
                body_bytes_max: 4 << 20,
                body_timeout_ms: 30_000,
                event_bytes_max: 32 << 10,
                batch_events_max: 2_500,
                members_max: 1_000,
                lent_bytes_max: 2 << 20,
                header_bytes_max: 40_960,
                headers_max: 100,
                header_timeout_ms: 10_000,
                connections_max: 65_536,
                idle_timeout_ms: 75_000,
                requests_per_connection_max: 1_000_000,
                connections_per_address_max: 1_000,
                address_rate_limit: None,
                address_event_rate: 200,
                bodies_per_address_max: const { NonZeroU32::new(1_024).unwrap() },
                in_flight_max: 16_384,
                buffered_bytes_max: 256 << 20,
                read_delay_target_ms: 150,
                read_delay_max_ms: 250,
                delay_max_ms: 1_000,
                h2_streams_max: 128,
                h2_resets_max: 64,
            },
            cookie: Cookie {
                name: "__Host-tg_vid".to_owned(),
                domain: None,
                lifetime_ms: 400 * 86_400_000,
            },
            identity: Identity::default(),
            admin: Admin {
                listen: loopback(9180),
                token_file: None,
                tls: None,
                body_bytes_max: 4 << 20,
                connections_max: 64,
                timeout_ms: 30_000,
            },
            kafka: None,
            geoip: Geoip::default(),
            user_agents: UserAgents::default(),
            activation: Activation {
                allow_private: Vec::new(),
                outbox_rows_max: 1_000_000,
                destination_rows_max: 500_000,
                dead_letters_max: 10_000,
                dead_letters_max_age_ms: 30 * 24 * 3_600_000,
            },
            dedup: Dedup {
                window_ms: 24 * 3_600_000,
                entries_max: 4_000_000,
            },
            profiles: Profiles {
                live_max: 2_000_000,
                traits_bytes_max: 2_048,
                identifiers_max: 50,
                merges_per_hour_max: 20,
                new_per_address_rate: 50,
                retention_ms: 400 * 86_400_000,
                disk_max: 8 << 30,
            },
            checkpoint: Checkpoint {
                lag_records: 5_000_000,
            },
            timers: Timers { rate_max: 5_000 },
            bad_rows: BadRows {
                bytes_max: 64 << 20,
                retention_ms: 7 * 86_400_000,
            },
            liveness: Liveness {
                cursor_stalled_ms: 30_000,
                durable_lag_max_ms: 10_000,
            },
            reload: Reload {
                watch_interval_ms: 1_000,
            },
            drain: Drain {
                readiness_delay_ms: 0,
                deadline_ms: 30_000,
                hand_over_ms: 1_000,
            },
            telemetry: Telemetry {
                log_format: None,
                log_repeats_max: 20,
                outcomes_max: 1_000,
                outcomes_sample: 100,
                otlp: Otlp {
                    endpoint: None,
                    sample: 1_000,
                    queue_max: 4_096,
                    timeout_ms: 10_000,
                },
            },
        }
    }
}
