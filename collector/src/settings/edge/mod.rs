//! `[edge]`: where and as what requests arrive, and the limits of everything that a client sends.

mod http3;
mod tls;
mod acme;
mod paths;
mod check;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use http::HeaderName;

use super::Cidr;
use super::declare::When::{Live, Restart};
use super::declare::{key, same_table, section, table};
use super::kind::{
    DAY, GIB, HOUR, KIB, Kind, MIB, MINUTE, SECOND, address, boolean, count, duration, list,
    networks, number, quoted, size, text, word,
};
use crate::document::Reason;

pub use acme::Acme;
pub use http3::Http3;
pub use paths::Paths;
#[cfg(test)]
pub(crate) use paths::built_in_paths;
pub use tls::{CertificateFiles, Tls};

/// When a 2xx may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// After fdatasync of the journal.
    Journal,
    /// After Kafka's acks=all as well.
    Kafka,
}

const ACKS: &[(&str, Ack)] = &[("journal", Ack::Journal), ("kafka", Ack::Kafka)];

/// Which listeners expect a PROXY protocol header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// `edge.http`
    pub http: bool,
    /// `edge.https`, before the handshake.
    pub https: bool,
}

section! {
    /// `[edge]`
    pub struct Edge {
        /// Address for hits over HTTP/1.1 and cleartext HTTP/2. Port 0 takes a free port.
        http: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))
            => key("edge.http", Restart, address()),

        /// Address for hits over TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2. Port 0 takes a free port.
        https: Option<SocketAddr> = None
            => key("edge.https", Restart, address().optional()).unset(r#""0.0.0.0:8443""#),

        /// Serves HTTP/3 on the same port number as `https`, over UDP.
        http3: bool = true => key("edge.http3", Restart, boolean()),

        /// How long browsers remember that there is HTTP/3 (`Alt-Svc`, sent over TLS).
        alt_svc_max_age_ms: u64 = DAY => key("edge.alt_svc_max_age", Live, duration(0..=365 * DAY)),

        /// The UDP port that is sent to browsers, if it differs from that of `https`: behind a port
        /// mapping.
        alt_svc_port: Option<u16> = None
            => key("edge.alt_svc_port", Live, number(1..=65_535).optional()).unset("443"),

        /// Listeners, of `http` and `https`, whose connections begin with a PROXY protocol header,
        /// version 1 or 2. Connections without it are closed. If `trusted_proxies` is set,
        /// connections from other peers are closed too. With `https` here, HTTP/3 is not announced
        /// to browsers.
        proxy_protocol: ProxyProtocol = ProxyProtocol::default()
            => key("edge.proxy_protocol", Restart, listeners()),

        /// Peers whose headers are used for the client's address, scheme and host: addresses or
        /// ranges. A range shorter than /8 (IPv6: /16) causes a warning, because it covers
        /// strangers.
        trusted_proxies: Vec<Cidr> = Vec::new() => key("edge.trusted_proxies", Live, networks()),

        /// The header in which these proxies send the client's address. They must set or remove it
        /// themselves: a header that they pass on can be written by any client. `forwarded` reads
        /// RFC 7239. CDNs have their own, such as `cf-connecting-ip`, `true-client-ip`,
        /// `fastly-client-ip`, `cloudfront-viewer-address`.
        client_ip_header: HeaderName = HeaderName::from_static("x-forwarded-for")
            => key("edge.client_ip_header", Live, header_name()),

        /// When a hit is answered 2xx: `journal` after it is on disk, `kafka` after Kafka has
        /// acknowledged it as well.
        ack: Ack = Ack::Journal => key("edge.ack", Restart, word(ACKS)),

        /// How long `ack = "kafka"` waits before it answers 503.
        ack_timeout_ms: u64 = 10 * SECOND
            => key("edge.ack_timeout", Restart, duration(100..=5 * MINUTE)),

        /// Serves every route below this path as well, on a site's own host.
        path_prefix: String = String::new() => key("edge.path_prefix", Live, path_prefix()),

        /// Bytes of a request body, both as sent and as inflated; beyond it 413.
        body_bytes_max: usize = 4 << 20 => key("edge.body_bytes_max", Live, size(KIB..=256 * MIB)),

        /// How long a body may take to arrive; beyond it 408.
        body_timeout_ms: u64 = 30 * SECOND
            => key("edge.body_timeout", Live, duration(100..=10 * MINUTE)),

        /// Bytes of one event together with its batch's `context`; beyond it that event is
        /// `too_large`.
        event_bytes_max: usize = 32 << 10
            => key("edge.event_bytes_max", Live, size(256..=512 * KIB)),

        /// Events in one request; beyond it 413.
        batch_events_max: usize = 2_500 => key("edge.batch_events_max", Live, number(1..=100_000)),

        /// Members of one object in an event or in a batch's `context`; beyond it the event is
        /// `invalid`.
        members_max: usize = 1_000 => key("edge.members_max", Live, number(10..=100_000)),

        /// Bytes of a batch's `context`, counted once for each of its events; beyond it events are
        /// `too_large`.
        lent_bytes_max: usize = 2 << 20 => key("edge.lent_bytes_max", Live, size(KIB..=GIB)),

        // hyper reads headers into a buffer of no less than 8 KiB.
        /// Bytes of all headers of a request together, at least 8KiB; beyond it 431. An HTTP/3
        /// connection whose client announces more is closed. The number of HTTP/2 CONTINUATION
        /// frames that are accepted follows from it.
        header_bytes_max: usize = 40 << 10
            => key("edge.header_bytes_max", Restart, size(8 * KIB..=MIB)),

        /// Header lines of one request; beyond it 431.
        headers_max: usize = 100 => key("edge.headers_max", Restart, number(10..=1_000)),

        /// How long the headers of a request may take to arrive, the first request included.
        header_timeout_ms: u64 = 10 * SECOND
            => key("edge.header_timeout", Restart, duration(100..=10 * MINUTE)),

        /// A connection without a request, HTTP/1.1 or HTTP/2, is closed after this time. It and
        /// `edge.header_timeout` are accurate to some milliseconds. They count from the last
        /// answer, and from the first byte of a head.
        idle_timeout_ms: u64 = 75 * SECOND
            => key("edge.idle_timeout", Restart, duration(SECOND..=HOUR)),

        /// Requests of one connection, of any version of HTTP. After the last one the connection is
        /// closed in order; further requests are not answered.
        requests_per_connection_max: u64 = 1_000_000
            => key("edge.requests_per_connection_max", Restart, number(1..=1_000_000_000)),

        /// Open connections. If all are in use, a waiting client gets the place of the connection
        /// that has been idle longest, at least a quarter of a second. If no connection is idle
        /// that long, clients wait, and clients of HTTP/3 are refused.
        connections_max: usize = 65_536
            => key("edge.connections_max", Restart, number(1..=1_000_000)),

        /// Open connections of one client address (IPv6: one /64); further ones are closed at once.
        /// Trusted proxies and loopback have no limit. `0`: no limit.
        connections_per_address_max: u32 = 1_000
            => key("edge.connections_per_address_max", Restart, number(0..=100_000_000)),

        /// Requests a second of one client address (IPv6: one /64), with a burst of one second;
        /// beyond it 429. A source's own limit is `rate_limit` in the catalog.
        address_rate_limit: Option<NonZeroU32> = None
            => key("edge.address_rate_limit", Live, count(100_000_000).optional()).unset("1000"),

        /// Events a second of one client address (IPv6: one /64), with a burst of two seconds.
        /// Further events are `rate_limited`, answered 429 with Retry-After, and do not count
        /// against the source's `rate_limit`. Duplicates, server sources and loopback do not count.
        /// `0`: no limit.
        address_event_rate: u32 = 200
            => key("edge.address_event_rate", Live, number(0..=1_000_000)),

        /// Requests of one client address (IPv6: one /64) whose body has not arrived yet; beyond it
        /// 503. Requests that are complete at once do not count.
        bodies_per_address_max: NonZeroU32 = const { NonZeroU32::new(1_024).unwrap() }
            => key("edge.bodies_per_address_max", Live, count(100_000_000)),

        /// Requests in flight; beyond it 503. At most half of them may wait for their bodies.
        in_flight_max: usize = 16_384 => key("edge.in_flight_max", Live, number(1..=1_000_000)),

        /// Bytes of all request bodies in memory together, as sent and as inflated, and of the
        /// events that batches became (about 800 bytes each), at least twice
        /// `edge.body_bytes_max`; beyond it 503. Bodies that do not arrive at once may use half of
        /// it. Answers of more than 4 KiB that clients have not read yet may take half as much in
        /// addition; beyond it 503.
        buffered_bytes_max: usize = 256 << 20
            => key("edge.buffered_bytes_max", Live, size(2 * KIB..=1_024 * GIB)),

        /// The part of `edge.buffered_bytes_max` that one client address (IPv6: one /64) may use;
        /// beyond it 503. If it is less than twice `edge.body_bytes_max`, twice
        /// `edge.body_bytes_max` is the limit. Bodies that do not arrive at once may use half of
        /// it. Answers that the client has not read yet may take half as much in addition. Requests
        /// and answers of less than 4 KiB, trusted proxies and loopback do not count.
        buffered_bytes_per_address_max: usize = 32 << 20
            => key("edge.buffered_bytes_per_address_max", Live, size(2 * KIB..=1_024 * GIB)),

        /// How long requests may wait to be read. If they wait longer for 100 ms without a break,
        /// requests that waited longer are answered 503 at once; younger requests are served.
        read_delay_target_ms: u64 = 150
            => key("edge.read_delay_target", Restart, duration(2..=10 * SECOND)),

        /// If refusing takes most of the processor, requests are served that waited longer than
        /// `edge.read_delay_target`, but never longer than this.
        read_delay_max_ms: u64 = 250
            => key("edge.read_delay_max", Restart, duration(2..=10 * SECOND)),

        /// How long records may wait for the disk; beyond it every request is answered 503 at once.
        delay_max_ms: u64 = SECOND => key("edge.delay_max", Restart, duration(5..=10 * SECOND)),

        /// Concurrent streams of one HTTP/2 connection.
        h2_streams_max: u32 = 128 => key("edge.h2_streams_max", Restart, number(1..=10_000)),

        /// Streams of one HTTP/2 connection that the client may reset before they are processed;
        /// beyond it the connection is closed (rapid reset, CVE-2023-44487).
        h2_resets_max: usize = 64 => key("edge.h2_resets_max", Restart, number(1..=10_000)),

        /// `edge.h3_*`
        h3: Http3 = Http3::default() => same_table(),

        /// `[edge.tls]`
        tls: Tls = Tls::default() => table("tls"),

        /// `[edge.paths]`
        paths: Paths = Paths::default() => table("paths"),
    }
}

/// A list of the listeners, by the names of their keys.
fn listeners() -> Kind<ProxyProtocol> {
    Kind::new(
        |at| {
            let mut expected = ProxyProtocol::default();
            for listener in at.get()?.list()? {
                match listener.word(&[("http", false), ("https", true)]) {
                    Some(true) => expected.https = true,
                    Some(false) => expected.http = true,
                    None => {}
                }
            }
            Some(expected)
        },
        |expected| {
            let listeners = [("http", expected.http), ("https", expected.https)];
            list(listeners.iter().filter(|(_, is)| *is).map(|(name, _)| name))
        },
    )
}

fn header_name() -> Kind<HeaderName> {
    Kind::new(
        |at| {
            let found = at.get()?;
            let given = found.text()?;
            let name = HeaderName::try_from(&given).ok();
            if name.is_none() {
                found.fault(Reason::Form {
                    given,
                    form: "the name of a header",
                    example: "\"x-forwarded-for\"",
                });
            }
            name
        },
        quoted,
    )
}

fn path_prefix() -> Kind<String> {
    let form = "empty or a path that begins and does not end with \"/\"";
    text(paths::is_path_prefix, form, "\"/collect\"")
}
