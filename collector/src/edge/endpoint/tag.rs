//! `GET /tag.js`: the tag that a page pastes in, as built in `sdk-js`.

use http::HeaderValue;
use http::header::IF_NONE_MATCH;
use tidegate_event::id::fnv1a_64;

use crate::edge::reply::Reply;
use crate::edge::request::RawHit;

/// The built tag; built by `sdk-js`, committed, so that a cargo build needs no node.
const TAG: &str = include_str!("../../../../sdk-js/dist/tag.js");

/// Answers with the tag, or 304 where the browser has this very one.
pub(in crate::edge) fn get(hit: &RawHit<'_>) -> Reply {
    let etag = format!("\"{:016x}\"", fnv1a_64(TAG.as_bytes()));
    let known = hit.header(IF_NONE_MATCH) == Some(&etag);
    let etag = HeaderValue::from_str(&etag).expect("hex digits in quotes are header text");
    Reply::script(TAG, etag, known)
}
