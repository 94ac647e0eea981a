//! `GET /v1/segments`: what a page or a server may know about a visitor. A page reads its own
//! visitor only, by the cookie, and only from an origin registered with the source; a server names
//! the visitor and needs the key of a server source.

use std::borrow::Cow;

use http::StatusCode;
use http::header::ORIGIN;
use tidegate_event::json::write_str;
use tidegate_event::{Profiling, Sealed};

use crate::catalog::{Source, SourceKind};
use crate::consent::{self, Signals};
use crate::core::{Lookup, VisitorSegments};
use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::cookie::{Embedding, same_origin};
use crate::edge::refusal::Refusal;
use crate::edge::reply::Reply;
use crate::edge::request::RawHit;
use crate::edge::terms::Terms;
use crate::protocols::{OWN_KEYS, write_key};

/// Answers `{"segments": [...], "as_of": offset}`.
pub(in crate::edge) async fn get<A: Accept>(
    edge: &Edge<A>,
    terms: &Terms,
    hit: &RawHit<'_>,
) -> Reply {
    let sender = write_key(OWN_KEYS, &hit.message()).and_then(|key| edge.sender_of(&key));
    let Some(sender) = sender else {
        return Reply::refused(&Refusal::Unauthorized);
    };
    let source = &sender.source;
    let named = Named::of(hit.query);
    let profiling = may_read(hit, source);
    let lookup = match (&source.kind, &named) {
        (SourceKind::Server, Some(named)) => profiling.map(|proof| named.open(proof).lookup()),
        (SourceKind::Server, None) => return name_someone(),
        (SourceKind::Web, Some(_)) => {
            return forbidden("naming a visitor needs the key of a server source");
        }
        (SourceKind::Web, None) => {
            if !is_registered(hit, source) {
                return forbidden("the page's origin is not registered with the source");
            }
            let cookie = |proof| terms.cookie.read(hit.headers, Embedding::of(hit), proof);
            profiling.and_then(cookie).map(Lookup::Anonymous)
        }
    };
    let Some(lookup) = lookup else {
        return Reply::json(segments_json(&VisitorSegments::default()));
    };
    match edge.core.segments(lookup).await {
        Ok(found) => Reply::json(segments_json(&found)),
        Err(refused) => Reply::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "the segments cannot be read now",
            &refused.to_string(),
        )
        .with_retry_after(None),
    }
}

/// The proof that the request's signals, with the page's own in `?consent=`, allow to read about the
/// visitor.
fn may_read(hit: &RawHit<'_>, source: &Source) -> Option<Profiling> {
    let query = hit.query.unwrap_or("").as_bytes();
    let said = form_urlencoded::parse(query)
        .find(|(name, _)| name == "consent")
        .map(|(_, value)| value);
    let signals = Signals::of(&hit.signals_with(said.as_deref()), source);
    let consent = consent::of_request(&signals, source)?;
    consent
        .profiling()
        .filter(|_| consent.purposes.personalise())
}

fn forbidden(detail: &str) -> Reply {
    Reply::error(
        StatusCode::FORBIDDEN,
        "forbidden",
        "this may not be read",
        detail,
    )
}

fn name_someone() -> Reply {
    Reply::error(
        StatusCode::BAD_REQUEST,
        "invalid",
        "whose segments?",
        "a server source sends ?anonymous_id= or ?user_id=",
    )
}

/// The visitor that the query names.
enum Named<'a> {
    Anonymous(Cow<'a, str>),
    User(Cow<'a, str>),
}

impl<'a> Named<'a> {
    fn of(query: Option<&'a str>) -> Option<Sealed<Self>> {
        form_urlencoded::parse(query?.as_bytes())
            .filter(|(_, id)| !id.is_empty())
            .find_map(|(name, id)| match &*name {
                "anonymous_id" | "anonymousId" => Some(Self::Anonymous(id)),
                "user_id" | "userId" => Some(Self::User(id)),
                _ => None,
            })
            .map(Sealed::new)
    }

    fn lookup(&self) -> Lookup<'_> {
        match self {
            Self::Anonymous(id) => Lookup::Anonymous(id),
            Self::User(id) => Lookup::User(id),
        }
    }
}

/// A browser names the page's origin, except where the page and we are one: then the browser says
/// so, and our own host has to be registered.
fn is_registered(hit: &RawHit<'_>, source: &Source) -> bool {
    match hit.header(ORIGIN) {
        Some(origin) => source.origins.iter().any(|known| known == origin),
        None if same_origin(hit.headers) => {
            let host = hit.host.as_deref().unwrap_or("");
            source.origins.iter().any(|known| {
                known
                    .split_once("://")
                    .is_some_and(|(_, known)| known == host)
            })
        }
        None => false,
    }
}

fn segments_json(found: &VisitorSegments) -> Vec<u8> {
    let names: usize = found.segments.iter().map(|name| name.len() + 3).sum();
    let mut out = Vec::with_capacity(48 + names);
    out.extend_from_slice(b"{\"segments\":[");
    for (index, name) in found.segments.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_str(&mut out, name);
    }
    out.extend_from_slice(b"],\"as_of\":");
    out.extend_from_slice(itoa::Buffer::new().format(found.as_of).as_bytes());
    out.push(b'}');
    out
}
