//! One request as the endpoints see it, and what no request may say, whatever protocol it came by.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{AsHeaderName, HOST, HeaderMap};
use http::request::Parts;
use http::{Method, Version};
use tidegate_event::Timestamp;

use crate::telemetry::traces::{RequestTrace, Stage};

/// What the connection was encrypted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Nothing.
    Http,
    /// TLS, over TCP or in QUIC.
    Https,
}

/// The connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    /// Who holds its other end, or whom the proxy there names for the whole of it.
    pub(super) peer: IpAddr,
    /// How it came.
    pub(super) scheme: Scheme,
    /// How long the request had waited when it was read, where that is known, in milliseconds.
    pub(super) waited_ms: Option<u32>,
}

/// Bytes turned into a request, nothing believed yet.
#[derive(Debug)]
pub struct RawHit<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as sent.
    pub path: &'a str,
    /// The query as sent, without its `?`.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// Who holds the other end of the connection.
    pub peer: IpAddr,
    /// Whether the browser spoke TLS, to us or to a trusted proxy.
    pub secure: bool,
    /// The host that it asked.
    pub host: Option<Cow<'a, str>>,
    /// Whose hit it is: the peer, or what a trusted proxy says.
    pub client_ip: IpAddr,
    /// The body, inflated.
    pub body: &'a [u8],
    /// The gateway's clock when the request was complete.
    pub received_at: Timestamp,
    /// Where it is one of those that are traced.
    pub(super) trace: Option<&'a RequestTrace>,
}

impl<'a> RawHit<'a> {
    /// Notes for its trace, where it has one, that `stage` is over.
    pub(super) fn ended(&self, stage: Stage) {
        if let Some(trace) = self.trace {
            trace.ended(stage);
        }
    }

    /// A header's text; None where it is absent or not UTF-8.
    pub(super) fn header(&self, name: impl AsHeaderName) -> Option<&'a str> {
        text(self.headers, name)
    }
}

/// A header's text; None where it is absent or not UTF-8.
pub(super) fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}

/// What makes a request malformed: whoever reads it otherwise sees another host than we do.
/// (RFC 9112, section 3.2; RFC 9113, section 8.3.1; RFC 9114, section 4.3.1)
pub(super) fn malformed(parts: &Parts) -> Option<&'static str> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let authority = parts.uri.authority();
    if another.is_some() {
        return Some("there is more than one Host");
    }
    if parts.version == Version::HTTP_11 && host.is_none() {
        return Some("there is no Host");
    }
    if let (Version::HTTP_2 | Version::HTTP_3, Some(host), Some(authority)) =
        (parts.version, host, authority)
        && !host
            .as_bytes()
            .eq_ignore_ascii_case(authority.as_str().as_bytes())
    {
        return Some("Host and :authority differ");
    }
    let has_user = authority.is_some_and(|authority| authority.as_str().contains('@'));
    has_user.then_some("the host is given with a user")
}
