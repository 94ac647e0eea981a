//! What a protocol declares of each of its paths.

use http::Method;

use super::key::KeyPlace;
use super::message::{Kept, Message};
use crate::pipeline::decode::{Envelope, Limits, Unreadable};

/// Reads one request. What the envelope borrows beside the message itself is put into `Kept`.
pub type Read = for<'a> fn(Message<'a>, &Limits, &'a Kept) -> Result<Envelope<'a>, Unreadable>;

/// One path of a protocol. Paths differ, so a path names its endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// Where it is always served, and below `edge.path_prefix`.
    pub path: &'static str,
    /// The key of `[edge.paths]` that serves it at a further path, where there is one.
    pub setting: Option<&'static str>,
    /// How events reach it.
    pub carrier: Carrier,
    /// Where the write key stands; the first place that has one decides.
    pub keys: &'static [KeyPlace],
    /// The decoder.
    pub read: Read,
    /// What a client gets back.
    pub answer: Answer,
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Endpoint {}

/// The part of a request that carries the events. It gives the methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The body of a POST.
    Body,
    /// The query of a GET. HEAD is GET without the answer's body (RFC 9110, section 9.3.2), so it
    /// is an event as well.
    Query,
}

impl Carrier {
    /// The methods of all carriers, as a preflight is answered.
    pub const METHODS: &'static str = "GET, POST, OPTIONS";

    /// What stands in `Allow`.
    #[must_use]
    pub const fn allow(self) -> &'static str {
        match self {
            Self::Body => "POST, OPTIONS",
            Self::Query => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether events come by this method.
    #[must_use]
    pub fn takes(self, method: &Method) -> bool {
        match self {
            Self::Body => method == Method::POST,
            Self::Query => method == Method::GET || method == Method::HEAD,
        }
    }

    /// The bytes of that part.
    #[must_use]
    pub const fn content<'a>(self, message: &Message<'a>) -> &'a [u8] {
        match self {
            Self::Body => message.body,
            Self::Query => message.query.as_bytes(),
        }
    }
}

/// What an answer looks like. Its status is the same in every protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// JSON with a result for each event.
    Rows,
    /// An image, whatever happened: anything else is an error on the page.
    Image,
}
