//! Events in any protocol: its declaration says where the key stands, how the request is read and
//! what the answer looks like.

use std::sync::Arc;

use tidegate_event::Outcome;

use crate::bad_rows::BadRow;
use crate::catalog::Source;
use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::intake::ingest;
use crate::edge::refusal::Refusal;
use crate::edge::reply::Reply;
use crate::edge::request::RawHit;
use crate::edge::sources::Sender;
use crate::edge::terms::Terms;
use crate::pipeline::decode::{Envelope, Unreadable};
use crate::protocols::{Endpoint, Kept, KeyPlace, write_key};

/// Answers with a result for each event, or refuses the request as a whole.
pub(in crate::edge) async fn take<A: Accept>(
    edge: &Edge<A>,
    terms: &Terms,
    endpoint: &Endpoint,
    hit: &RawHit<'_>,
) -> Reply {
    let kept = Kept::default();
    match authenticated(edge, terms, endpoint, hit, &kept) {
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

/// The source and the readable request. A key outside of the content is checked first, so that a
/// stranger's content is not even parsed.
fn authenticated<'a, A>(
    edge: &Edge<A>,
    terms: &Terms,
    endpoint: &Endpoint,
    hit: &RawHit<'a>,
    kept: &'a Kept,
) -> Result<(Arc<Sender>, Envelope<'a>), Refusal> {
    let message = hit.message();
    let sender = match write_key(endpoint.keys, &message) {
        Some(key) => Some(edge.sender_of(&key).ok_or(Refusal::Unauthorized)?),
        None => None,
    };
    let envelope = (endpoint.read)(message, &terms.limits, kept).map_err(|unreadable| {
        if let Some(sender) = &sender {
            let sent = endpoint.carrier.content(&message);
            keep_unreadable(edge, hit, &sender.source, &unreadable, sent);
        }
        Refusal::from(unreadable)
    })?;
    let sender = match sender {
        Some(sender) => sender,
        None => envelope
            .write_key
            .as_deref()
            .filter(|_| endpoint.keys.contains(&KeyPlace::Content))
            .and_then(|key| edge.sender_of(key))
            .ok_or(Refusal::Unauthorized)?,
    };
    Ok((sender, envelope))
}

/// Keeps what a source sent as text but not as events. Bytes that are no text are not kept.
#[cold]
fn keep_unreadable<A>(
    edge: &Edge<A>,
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
