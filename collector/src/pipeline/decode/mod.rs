//! Step 1, what all protocols share: the rules of an event, whatever words a client says it in. A
//! protocol ends in an [`Envelope`] of canonical events that borrow from the request.
//!
//! A request is unreadable as a whole ([`Unreadable`]), or each of its events is good or bad by itself
//! ([`DecodeError`]). A bad event does not affect its neighbours.

mod error;
mod fields;
mod timestamp;
mod number;
mod scalar;
mod mend;
mod object;
mod lent;
mod event;
mod salvage;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use tidegate_event::{Hit, Json};

pub use error::{DecodeError, Unreadable};
pub(crate) use event::{Sent, is_server, unparsable};
pub(crate) use fields::{Batch, Fields};
pub(crate) use lent::{LentContext, Shared};
pub(in crate::pipeline) use mend::owned;
pub(crate) use object::read as read_object;
pub use salvage::Salvaged;

/// Bounds on what is read; all are settings of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One event's JSON text together with the context that its batch lends it, in bytes.
    pub event_bytes_max: usize,
    /// Events in one request.
    pub batch_events_max: usize,
    /// Members of one object.
    pub members_max: usize,
    /// A batch's context, counted once for each of its events, in bytes.
    pub lent_bytes_max: usize,
}

/// Longest client message id, in bytes.
pub const MESSAGE_ID_BYTES_MAX: usize = 100;

/// Deepest nesting of an event, the event itself counted.
pub const DEPTH_MAX: usize = 32;

/// One readable request. Its events are still text and scalars. Parsed objects take many times the
/// memory of their text, so only one event at a time is parsed that far.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// `writeKey` of the body (for the pixel: of the query).
    pub write_key: Option<Cow<'a, str>>,
    /// The body was one event rather than a batch.
    pub single: bool,
    /// At least one, in the order sent.
    sent: Vec<Sent<'a>>,
    shared: Shared<'a>,
    limits: Limits,
}

impl<'a> Envelope<'a> {
    /// A request that is one event.
    pub(crate) fn one(write_key: Option<Cow<'a, str>>, sent: Sent<'a>, limits: &Limits) -> Self {
        Self {
            write_key,
            single: true,
            sent: vec![sent],
            shared: Shared::default(),
            limits: *limits,
        }
    }

    /// A request of several events, at least one.
    pub(crate) fn batch(
        write_key: Option<Cow<'a, str>>,
        sent: Vec<Sent<'a>>,
        shared: Shared<'a>,
        limits: &Limits,
    ) -> Self {
        Self {
            write_key,
            single: false,
            sent,
            shared,
            limits: *limits,
        }
    }

    /// How many events; at least one.
    #[must_use]
    pub fn events(&self) -> usize {
        self.sent.len()
    }

    /// Bytes of memory that its events take before they are decoded, beside the request's own text.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sent.capacity().saturating_mul(size_of::<Sent<'_>>())
    }

    /// Different anonymousIds as sent, also those of events that are bad for another reason: 0, 1, or
    /// 2 for "more than one".
    #[must_use]
    pub fn distinct_anonymous_ids(&self) -> usize {
        let mut ids = self.anonymous_ids();
        match ids.next() {
            None => 0,
            Some(first) if ids.all(|id| id == first) => 1,
            Some(_) => 2,
        }
    }

    fn anonymous_ids(&self) -> impl Iterator<Item = &str> {
        self.sent.iter().filter_map(Sent::anonymous_id)
    }

    /// Makes the events bad that hold what is no text; false where such bytes stand outside of all.
    pub(crate) fn mark(&mut self, salvaged: &Salvaged) -> bool {
        let marked = self.sent.iter_mut().map(|sent| sent.mark(salvaged)).sum();
        salvaged.is_all(marked)
    }

    /// Takes the request's own time of sending, where neither batch nor event has one. A text that is
    /// no time counts as absent.
    #[must_use]
    pub fn or_sent_at(mut self, header: Option<&'a str>) -> Self {
        let said = self.shared.sent_at.take();
        let said = said.filter(|said| matches!(scalar::time(said, "sentAt"), Ok(Some(_))));
        let header = header.map(|text| Json::Str(Cow::Borrowed(text)));
        let header = header.filter(|time| scalar::time(time, "SentAt").is_ok());
        self.shared.sent_at = said.or(header);
        self
    }

    /// Decodes each event when it is asked for, in the order sent.
    pub fn decode(self) -> impl ExactSizeIterator<Item = Decoded<'a>> {
        let Self {
            sent,
            shared,
            limits,
            ..
        } = self;
        let mut lent_bytes = 0_usize;
        sent.into_iter().map(move |sent| {
            lent_bytes = lent_bytes.saturating_add(shared.context_bytes);
            sent.decode(&limits, &shared, lent_bytes)
        })
    }
}

/// One event of a request, good or bad.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// Its text as sent, or written by its protocol.
    pub raw: Cow<'a, str>,
    /// Bytes of it and of what its batch lends it: what it costs to look at.
    pub bytes: usize,
    /// The client's id for the result row, where it could be read.
    pub message_id: Option<Cow<'a, str>>,
    /// The event, or why it is none.
    pub hit: Result<Hit<'a>, DecodeError>,
}
