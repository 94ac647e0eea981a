//! `GET /v1/pixel.gif`: one event in the query, for pages and mails without scripts. The answer is
//! an image whatever happened, since anything else is an error on the page.

use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::auth;
use crate::edge::endpoint::events::authenticated;
use crate::edge::intake::ingest;
use crate::edge::reply::Reply;
use crate::edge::request::RawHit;
use crate::edge::terms::Terms;
use crate::pipeline::enrich::{DeviceLookup, GeoLookup};
use crate::protocols::pixel;

/// Answers with the image; the status says how it went.
pub(in crate::edge) async fn get<A: Accept, G: GeoLookup + DeviceLookup>(
    edge: &Edge<A, G>,
    terms: &Terms,
    hit: &RawHit<'_>,
) -> Reply {
    let query = hit.query.unwrap_or("");
    let mut scratch = Vec::new();
    let key = auth::write_key(hit);
    let taken = authenticated(edge, hit, key, query.as_bytes(), || {
        pixel::read(query, &terms.limits, &mut scratch)
    });
    match taken {
        Ok((sender, envelope)) => {
            let done = ingest(edge, terms, hit, &sender, envelope).await;
            Reply::results(&done.rows)
                .with_retry_after(done.retry_after_s)
                .with_budget(done.budget)
                .with_cookie(done.set_cookie)
                .into_pixel()
        }
        Err(refusal) => edge.refuse(&refusal, hit.path).into_pixel(),
    }
}
