//! `GET /tag.js`: the tag that a page pastes in. `GET /tag.HASH.js`, HASH being its ETag, is the same
//! for caches that shall keep it for ever.

use http::header::IF_NONE_MATCH;

use crate::edge::reply::Reply;
use crate::edge::request::RawHit;
use crate::edge::route::single_slashes;
use crate::edge::terms::Terms;

/// Answers with the tag, or 304 where the browser has this very one. Under a path that names the
/// version it never changes; a path that names another one gets this one, for a short time: pages
/// that were built before an update go on working.
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
