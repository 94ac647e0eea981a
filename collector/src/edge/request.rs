//! One request as the endpoints see it, and what makes one malformed in any version of HTTP.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use http::header::{AsHeaderName, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use tidegate_event::Timestamp;

use crate::consent;
use crate::protocols::Message;
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
    /// The part that protocols read.
    pub(super) fn message(&self) -> Message<'a> {
        Message {
            query: self.query.unwrap_or(""),
            headers: self.headers,
            body: self.body,
        }
    }

    /// Notes for its trace, where it has one, that `stage` is over.
    pub(super) fn ended(&self, stage: Stage) {
        if let Some(trace) = self.trace {
            trace.ended(stage);
        }
    }

    /// A header's text, U+FFFD for what is not UTF-8; None where it is absent.
    pub(super) fn header_lossy(&self, name: impl AsHeaderName) -> Option<Cow<'a, str>> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()))
    }

    /// What consent signals may read of it; `word` is the page's own, where the endpoint takes one.
    pub(super) const fn signals_with<'w>(&self, word: Option<&'w str>) -> consent::Request<'w>
    where
        'a: 'w,
    {
        consent::Request {
            headers: self.headers,
            word,
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

/// What a request is refused for whatever it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: &'static str,
    pub(super) detail: &'static str,
}

/// Whether a request has more than `headers_max` header lines, or is malformed.
pub(super) fn fault(parts: &Parts, headers_max: usize) -> Option<Fault> {
    // hyper has looked at HTTP/1.1.
    if parts.headers.len() > headers_max {
        return Some(Fault {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            code: "too_large",
            message: "the request has too many headers",
            detail: "edge.headers_max says how many it may have",
        });
    }
    malformed(parts).map(|detail| Fault {
        status: StatusCode::BAD_REQUEST,
        code: "bad_request",
        message: "the request is malformed",
        detail,
    })
}

/// What makes a request malformed: another reader could see another host, or another end, than the
/// gateway does. (RFC 9112, sections 3.2 and 6.3; RFC 9113, section 8.3.1; RFC 9114, section 4.3.1)
fn malformed(parts: &Parts) -> Option<&'static str> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Some("there is more than one Host");
    }
    if parts
        .headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .nth(1)
        .is_some()
    {
        return Some("there is more than one Content-Length");
    }
    let host = host.map(HeaderValue::as_bytes);
    let target = parts.uri.authority();
    let target = target.map(|authority| authority.as_str().as_bytes());
    match (host, target) {
        (None, None) if parts.version > Version::HTTP_10 => Some("there is no Host"),
        (None, Some(_)) if parts.version == Version::HTTP_11 => Some("there is no Host"),
        (Some(host), Some(target)) if !host.eq_ignore_ascii_case(target) => {
            Some("Host and the target's host, or :authority, differ")
        }
        (host, target) => {
            let mut said = host.into_iter().chain(target);
            let faulty = said.any(|said| !is_host(said));
            faulty.then_some("the host is no name or address, with or without a port")
        }
    }
}

/// Whether it is `uri-host [ ":" port ]` (RFC 9110, section 7.2; RFC 3986, section 3.2.2). Of
/// addresses in brackets only IPv6 has been defined.
fn is_host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let (is_name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').unwrap_or(("", ""));
            (address.parse::<Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_registered_name(name.as_bytes()), port)
        }
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let has_colon = digits.len() < port.len();
    is_name && (has_colon || port.is_empty()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is `reg-name`, which takes in IPv4 addresses.
fn is_registered_name(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte);
    let mut pieces = name.split(|byte| *byte == b'%');
    let first = pieces.next().unwrap_or_default();
    let is_escape = |piece: &[u8]| {
        let escaped = piece.split_at_checked(2);
        escaped.is_some_and(|(hex, rest)| {
            hex.iter().all(u8::is_ascii_hexdigit) && rest.iter().all(is_plain)
        })
    };
    first.iter().all(is_plain) && pieces.all(is_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "localhost",
            "shop.example:8443",
            "a_b.example",
            "203.0.113.1:80",
            "[2001:db8::1]",
            "[::1]:443",
            "xn--bcher-kva.example",
            "b%C3%BCcher.example",
            "localhost:",
            "",
        ] {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
        for host in [
            "x/y",
            "user@shop.example",
            "x/y@z",
            "a b",
            "a:b",
            "a:1:2",
            "2001:db8::1",
            "[::1",
            "[::1]x",
            "[localhost]",
            "a%4",
            "a%zz",
            "a?b",
            "a#b",
            "a\\b",
            "b\u{fc}cher.example",
            "a, b",
        ] {
            assert!(!is_host(host.as_bytes()), "{host:?}");
        }
        assert!(!is_host(b"a\xff"));
    }
}
