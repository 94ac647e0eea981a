//! Step 1: the only parser of outside bytes. One file per protocol; each ends in an [`Envelope`]
//! of canonical events that borrow from the request.
//!
//! A request is unreadable as a whole ([`Unreadable`]) or readable with each event good or bad by
//! itself ([`DecodeError`]): one bad event never harms its neighbours.

mod error;
mod fields;
mod timestamp;
mod scalar;
mod mend;
mod object;
mod event;
pub mod native;
pub mod pixel;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use tidegate_event::Hit;

pub use error::{DecodeError, Unreadable};

/// Bounds on what is read; both are settings of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One event's JSON text, in bytes.
    pub event_bytes_max: usize,
    /// Events in one request.
    pub batch_events_max: usize,
}

/// Longest client message id, in bytes.
pub const MESSAGE_ID_BYTES_MAX: usize = 100;

/// Longest identifier, in bytes.
pub const ID_BYTES_MAX: usize = 200;

/// Deepest nesting of an event, the event itself counted.
pub const DEPTH_MAX: usize = 32;

/// One readable request.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// `writeKey` of the body (for the pixel: of the query).
    pub write_key: Option<Cow<'a, str>>,
    /// At least one, in the order sent.
    pub events: Vec<Decoded<'a>>,
    /// The body was one event rather than a batch.
    pub single: bool,
}

/// One event of a request, good or bad.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// Its text as sent.
    pub raw: &'a str,
    /// The client's id for the result row, where it could be read.
    pub message_id: Option<Cow<'a, str>>,
    /// The event, or why it is none.
    pub hit: Result<Hit<'a>, DecodeError>,
}
