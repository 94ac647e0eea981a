//! What a request says, read by its protocol.

use super::rows;
use crate::bad_rows::BadRow;
use crate::catalog::Source;
use crate::edge::Edge;
use crate::edge::body::Buffered;
use crate::edge::refusal::Refusal;
use crate::edge::request::RawHit;
use crate::edge::sources::Sender;
use crate::edge::terms::Terms;
use crate::pipeline::decode::{Envelope, Unreadable};
use crate::protocols::{Endpoint, Kept};

impl<A> Edge<A> {
    /// The events. What a known source sent and cannot be read becomes a bad row.
    pub(super) fn decode<'a>(
        &self,
        terms: &Terms,
        endpoint: &Endpoint,
        hit: &RawHit<'a>,
        keyed: Option<&Sender>,
        kept: &'a Kept,
    ) -> Result<Envelope<'a>, Refusal> {
        let message = hit.message();
        (endpoint.read)(message, &terms.limits, kept).map_err(|unreadable| {
            if let Some(sender) = keyed {
                let sent = endpoint.carrier.content(&message);
                self.keep_unreadable(hit, &sender.source, &unreadable, sent);
            }
            Refusal::from(unreadable)
        })
    }

    /// Holds the memory of a batch's events and of their results, as a part of what bodies may take.
    /// Events of two bytes each take hundreds of times as much once they are read.
    pub(super) fn hold(
        &self,
        envelope: &Envelope<'_>,
        buffered: &mut Buffered<'_>,
    ) -> Result<(), Refusal> {
        // A single event takes little, and `edge.in_flight_max` bounds their number.
        if envelope.single {
            return Ok(());
        }
        let bytes = envelope
            .bytes()
            .saturating_add(rows::bytes(envelope.events()));
        buffered.hold(bytes).map_err(|error| {
            self.metrics.rejected_body(error);
            Refusal::Body(error)
        })
    }

    /// Keeps what a source sent as text but not as events. Bytes that are no text are not kept.
    #[cold]
    fn keep_unreadable(
        &self,
        hit: &RawHit<'_>,
        source: &Source,
        unreadable: &Unreadable,
        sent: &[u8],
    ) {
        let is_json = match unreadable {
            Unreadable::NotUtf8 { .. } => return,
            Unreadable::NotJson { .. } | Unreadable::NotBase64 => false,
            Unreadable::Empty
            | Unreadable::NotAnObject
            | Unreadable::BatchNotAnArray
            | Unreadable::TooManyEvents { .. } => true,
        };
        self.bad_rows.keep(&BadRow {
            at: hit.received_at,
            source: &source.name,
            outcome: unreadable.outcome(),
            reason: &unreadable.to_string(),
            path: "$",
            payload: sent,
            is_json,
        });
    }
}
