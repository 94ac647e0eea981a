//! `GET /tag.js`: the tag that a page embeds. `GET /tag.HASH.js` is the same, for caches to keep for
//! ever; HASH is its ETag.

use http::header::IF_NONE_MATCH;

use crate::edge::reply::Reply;
use crate::edge::request::RawHit;
use crate::edge::route::single_slashes;
use crate::edge::terms::Terms;

/// Answers with the tag, or 304 where the browser has it. At the path of its version it is immutable. A
/// path of another version gets this one with a short lifetime, so that pages built before an update
/// go on working.
pub(in crate::edge) fn get(terms: &Terms, hit: &RawHit<'_>) -> Reply {
    let path = single_slashes(hit.path);
    let (script, asked) = terms.tags.at(&path);
    let known = hit.header(IF_NONE_MATCH).is_some_and(|tags| {
        tags.split(',')
            // A cache that compresses makes the tag a weak one.
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag.as_bytes() == script.etag.as_bytes() || tag == "*")
    });
    let immutable = asked == Some(script.version.as_str());
    Reply::script(script, known, immutable)
}
