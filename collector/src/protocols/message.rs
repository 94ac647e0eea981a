//! A request as protocols see it: its content, without connection, client or time.

use std::sync::OnceLock;

use http::HeaderMap;
use http::header::AsHeaderName;

use crate::pipeline::decode::Salvaged;

/// What a client sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The query without its `?`; empty where there is none.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body, inflated.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// A header's text; None where it is absent or not UTF-8.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&'a str> {
        std::str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }
}

/// What a decoder makes of a message for its envelope to borrow. One for each request.
#[derive(Debug, Default)]
pub struct Kept {
    /// The body as text, where it needed mending.
    pub salvaged: OnceLock<Salvaged>,
    /// A body that came packed into something else.
    pub unpacked: OnceLock<Vec<u8>>,
}
