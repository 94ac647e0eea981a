//! `POST /v1/events`: one event or a batch, each with its own result.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use http::HeaderName;
use tidegate_event::Outcome;

use crate::bad_rows::BadRow;
use crate::catalog::Source;
use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::auth;
use crate::edge::intake::ingest;
use crate::edge::refusal::Refusal;
use crate::edge::reply::Reply;
use crate::edge::request::RawHit;
use crate::edge::sources::Sender;
use crate::edge::terms::Terms;
use crate::pipeline::decode::{Envelope, Unreadable};
use crate::pipeline::enrich::{DeviceLookup, GeoLookup};
use crate::protocols::native;

/// As RudderStack's SDKs say it.
const SENT_AT: HeaderName = HeaderName::from_static("sentat");

/// Answers with a result for each event, or refuses the request as a whole.
pub(in crate::edge) async fn post<A: Accept, G: GeoLookup + DeviceLookup>(
    edge: &Edge<A, G>,
    terms: &Terms,
    hit: &RawHit<'_>,
) -> Reply {
    let key = auth::write_key(hit);
    let salvaged = OnceLock::new();
    let read = || {
        let envelope = native::read_or_salvage(hit.body, &salvaged, &terms.limits)?;
        Ok(envelope.or_sent_at(hit.header(SENT_AT)))
    };
    match authenticated(edge, hit, key, hit.body, read) {
        Ok((sender, envelope)) => {
            let done = ingest(edge, terms, hit, &sender, envelope).await;
            Reply::results(&done.rows)
                .with_retry_after(done.retry_after_s)
                .with_budget(done.budget)
                .with_cookie(done.set_cookie)
        }
        Err(refusal) => edge.refuse(&refusal, hit.path),
    }
}

/// The source and the readable request. A key outside the body is checked first, so that a
/// stranger's body is not even parsed.
pub(in crate::edge) fn authenticated<'a, A, G>(
    edge: &Edge<A, G>,
    hit: &RawHit<'_>,
    key: Option<Cow<'_, str>>,
    sent: &[u8],
    read: impl FnOnce() -> Result<Envelope<'a>, Unreadable>,
) -> Result<(Arc<Sender>, Envelope<'a>), Refusal> {
    let sender = match key {
        Some(key) => Some(edge.sender_of(&key).ok_or(Refusal::Unauthorized)?),
        None => None,
    };
    let envelope = read().map_err(|unreadable| {
        if let Some(sender) = &sender {
            keep_unreadable(edge, hit, &sender.source, &unreadable, sent);
        }
        Refusal::from(unreadable)
    })?;
    let sender = match sender {
        Some(sender) => sender,
        None => envelope
            .write_key
            .as_deref()
            .and_then(|key| edge.sender_of(key))
            .ok_or(Refusal::Unauthorized)?,
    };
    Ok((sender, envelope))
}

/// Keeps what a source sent as text but not as events. Bytes that are no text are not kept.
#[cold]
fn keep_unreadable<A, G>(
    edge: &Edge<A, G>,
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
    let outcome: Outcome = unreadable.outcome();
    edge.bad_rows.keep(&BadRow {
        at: hit.received_at,
        source: &source.name,
        outcome,
        reason: &unreadable.to_string(),
        path: "$",
        payload: sent,
        is_json,
    });
}
