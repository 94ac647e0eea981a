//! How the events of one request ended: the rows of its answer, also remembered to explain a result
//! later. The receipt counts them.

use std::borrow::Cow;

use http::StatusCode;
use smallvec::SmallVec;
use tidegate_event::Outcome;

use super::receipt;
use crate::catalog::Source;
use crate::core::Refused;
use crate::edge::Edge;
use crate::edge::reply::{overall, status_of};
use crate::edge::request::RawHit;
use crate::recent::Ended;

/// The reason of events whose client did not wait for the answer.
const HUNG_UP: &str = "the client hung up before the answer";

/// Bytes of a long reason.
const REASON_BYTES: usize = 128;

/// Bytes that the rows of so many events take, about.
pub(super) const fn bytes(events: usize) -> usize {
    events.saturating_mul(size_of::<Row<'_>>() + REASON_BYTES)
}

/// How one event ended, as the client gets to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::edge) struct Row<'a> {
    /// The client's id.
    pub(in crate::edge) message_id: Option<Cow<'a, str>>,
    /// The end.
    pub(in crate::edge) outcome: Outcome,
    /// Why, where it is no success.
    pub(in crate::edge) reason: Option<String>,
}

/// The rows of one request until it is answered. Dropped before, they are remembered without a
/// status.
pub(super) struct Rows<'e, 'a, A> {
    edge: &'e Edge<A>,
    hit: &'e RawHit<'a>,
    source: &'e Source,
    rows: SmallVec<[Row<'a>; 1]>,
}

impl<'e, 'a, A> Rows<'e, 'a, A> {
    pub(super) fn new(
        edge: &'e Edge<A>,
        hit: &'e RawHit<'a>,
        source: &'e Source,
        events: usize,
    ) -> Self {
        Self {
            edge,
            hit,
            source,
            rows: SmallVec::with_capacity(events),
        }
    }

    pub(super) fn push(&mut self, row: Row<'a>) {
        self.rows.push(row);
    }

    /// What waits for the receipt will never get it.
    pub(super) fn fail_waiting(&mut self, refused: Refused) {
        let waiting = self.rows.iter_mut();
        for row in waiting.filter(|row| receipt::waits(row.outcome)) {
            row.outcome = Outcome::Overloaded;
            row.reason = Some(refused.to_string());
        }
    }

    /// The rows for the answer, remembered with its status.
    pub(super) fn answered(mut self) -> SmallVec<[Row<'a>; 1]> {
        let rows = std::mem::take(&mut self.rows);
        self.remember(&rows, Some(status_of(overall(&rows))));
        rows
    }

    fn remember(&self, rows: &[Row<'_>], status: Option<StatusCode>) {
        let unanswered = status.is_none().then_some(HUNG_UP);
        for row in rows {
            self.edge.recent.keep(&Ended {
                at: self.hit.received_at,
                source: Some(&self.source.name),
                path: Some(self.hit.path),
                message_id: row.message_id.as_deref(),
                outcome: row.outcome,
                status: status.map(|status| status.as_u16()),
                reason: row.reason.as_deref().or(unanswered),
            });
        }
    }
}

impl<A> Drop for Rows<'_, '_, A> {
    fn drop(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        self.remember(&rows, None);
    }
}
