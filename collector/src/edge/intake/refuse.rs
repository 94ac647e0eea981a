//! The answer to a request that a step ended.

use http::StatusCode;

use super::chain::{Head, Stop};
use crate::edge::Edge;
use crate::edge::refusal::Refusal;
use crate::edge::reply::Reply;
use crate::edge::route;
use crate::recent::Ended;
use crate::tracked::Tracked;

impl<A> Edge<A> {
    pub(super) fn stopped(&self, head: &Head<'_>, stop: &Stop) -> Reply {
        match stop {
            Stop::Malformed(fault) => {
                Reply::error(fault.status, fault.code, fault.message, fault.detail)
            }
            Stop::Preflight => Reply::empty(),
            Stop::NoSuchPath => {
                let detail = route::instead_of(head.path());
                Reply::error(StatusCode::NOT_FOUND, "not_found", "no such path", detail)
            }
            Stop::Method(route) => Reply::method_not_allowed(route.allow()),
            Stop::Refused(route, refusal) => {
                let reply = if route.carries_events() {
                    self.refuse_events(refusal, head.path())
                } else {
                    refused(refusal)
                };
                reply.shaped(*route)
            }
        }
    }

    /// Answers a request to `path` whose events cannot be counted: one received event, one outcome.
    pub(super) fn refuse_events(&self, refusal: &Refusal, path: &str) -> Reply {
        Tracked::received(&self.metrics.outcomes, 1).end(refusal.outcome());
        let reply = refused(refusal);
        self.recent.keep(&Ended {
            at: self.clock.now(),
            source: None,
            path: Some(path),
            message_id: None,
            outcome: refusal.outcome(),
            status: Some(reply.status.as_u16()),
            reason: Some(&refusal.to_string()),
        });
        reply
    }
}

fn refused(refusal: &Refusal) -> Reply {
    Reply::refused(refusal)
        .with_retry_after(refusal.retry_after_s())
        .with_budget(refusal.budget())
}
