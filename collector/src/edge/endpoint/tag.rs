//! `GET /tag.js`: the tag that a page pastes in, as built in `sdk-js`. `GET /tag.HASH.js`, HASH being
//! its ETag, is the same for caches that shall keep it for ever.

use http::HeaderValue;
use http::header::IF_NONE_MATCH;
use tidegate_event::id::fnv1a_64;

use crate::edge::reply::Reply;
use crate::edge::request::RawHit;
use crate::edge::route::Route;

/// The built tag; built by `sdk-js`, committed, so that a cargo build needs no node.
const TAG: &str = include_str!("../../../../sdk-js/dist/tag.js");

/// Answers with the tag, or 304 where the browser has this very one. Under a path that names the
/// version it never changes; a path that names another one gets this one, for a short time: pages
/// that were built before an update go on working.
pub(in crate::edge) fn get(hit: &RawHit<'_>) -> Reply {
    let version = format!("{:016x}", fnv1a_64(TAG.as_bytes()));
    let etag = format!("\"{version}\"");
    let known = hit.header(IF_NONE_MATCH).is_some_and(|tags| {
        tags.split(',')
            // A cache that compresses makes the tag a weak one.
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == etag || tag == "*")
    });
    let etag = HeaderValue::from_str(&etag).expect("hex digits in quotes are header text");
    let immutable = Route::tag_version(hit.path) == Some(version.as_str());
    Reply::script(TAG, etag, known, immutable)
}
