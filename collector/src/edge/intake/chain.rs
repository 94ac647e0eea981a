//! One request from head to answer: the only place that says in which order its steps come. Each step
//! is a function of its name, in the file of its name.
//!
//! A step that ends the request gives a [`Stop`]. No later step then runs, and `refuse` answers.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{ALT_SVC, CONNECTION};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::Full;

use super::admit::Admitted;
use super::content;
use super::ingest::ingest;
use crate::consent::Signals;
use crate::edge::accept::Accept;
use crate::edge::body::Buffered;
use crate::edge::cors::Cors;
use crate::edge::forwarded::Client;
use crate::edge::refusal::Refusal;
use crate::edge::reply::Reply;
use crate::edge::request::{self, Channel, Fault, RawHit, Scheme};
use crate::edge::route::Route;
use crate::edge::terms::Terms;
use crate::edge::{CLOSE, Edge, endpoint};
use crate::protocols::{Endpoint, Kept};
use crate::telemetry::traces::{RequestTrace, Stage};

/// A request before its body is read.
#[derive(Clone, Copy)]
pub(super) struct Head<'r> {
    /// The settings that it is answered by.
    pub(super) terms: &'r Terms,
    pub(super) parts: &'r Parts,
    pub(super) channel: Channel,
    /// None where there is no such path.
    pub(super) route: Option<Route>,
}

impl Head<'_> {
    pub(super) fn path(&self) -> &str {
        self.parts.uri.path()
    }
}

/// What ended a request before its endpoint saw it.
pub(super) enum Stop {
    /// Nothing behind its head can be trusted.
    Malformed(Fault),
    /// It only asked what it may send.
    Preflight,
    NoSuchPath,
    /// The path takes other methods.
    Method(Route),
    Refused(Route, Refusal),
}

impl<A: Accept> Edge<A> {
    /// One request from head to answer, whatever version of HTTP it came by, wholly by the settings
    /// in force as it came.
    pub(in crate::edge) async fn handle<B>(
        &self,
        request: Request<B>,
        channel: Channel,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        // Cloning the Arc costs two atomic operations a request. A guard is cheaper, but arc_swap has
        // eight of them a thread, and thousands of requests wait here.
        let terms = self.in_force.load_full();
        let since_us = self.clock.monotonic_us();
        let (parts, body) = request.into_parts();
        let head = Head {
            terms: &terms,
            parts: &parts,
            channel,
            route: terms.routes.of(parts.uri.path()),
        };
        let trace = self.trace(&head);
        let cors = Cors::of(&parts.method, &parts.headers);
        let (reply, malformed) = match self.steps(&head, body, trace.as_deref()).await {
            Ok(reply) => (reply, false),
            Err(stop) => (
                self.stopped(&head, &stop),
                matches!(stop, Stop::Malformed(_)),
            ),
        };
        self.observe(&head, reply.status, since_us, trace);
        let gave_up = reply.status == StatusCode::REQUEST_TIMEOUT;
        let mut response = reply.into_response(parts.headers, cors);
        // Unread body bytes must not be parsed as the next request (RFC 9110, section 15.5.9), nor
        // may anything behind what was malformed be trusted (RFC 9112, section 11.2).
        if (gave_up || malformed) && parts.version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        if let (Scheme::Https, Some(alt_svc)) = (channel.scheme, &terms.alt_svc) {
            response.headers_mut().insert(ALT_SVC, alt_svc.clone());
        }
        response
    }

    /// The steps of every request.
    async fn steps<B>(
        &self,
        head: &Head<'_>,
        mut body: B,
        trace: Option<&RequestTrace>,
    ) -> Result<Reply, Stop>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        self.well_formed(head)?;
        content::await_needless(head, &mut body).await;
        preflight(head)?;
        let route = route(head)?;
        method(head, route)?;
        let content = match self.admit(head, route) {
            Ok(admitted) => self.content(head, route, &mut body, admitted).await,
            Err(refusal) => Err(refusal),
        };
        let admitted = match content {
            Ok(admitted) => admitted,
            Err(refusal) => {
                content::discard_rest(head, body, &refusal).await;
                return Err(Stop::Refused(route, refusal));
            }
        };
        let Admitted {
            client,
            body,
            budget,
            mut buffered,
            holder,
            place: _until_answered,
        } = admitted;
        let hit = self.hit(head, &client, &body, trace);
        hit.ended(Stage::Received);
        let reply = self.endpoint(head.terms, route, &hit, &mut buffered).await;
        let unsent = &self.metrics.limits.unsent;
        let reply = reply.with_budget(budget).shaped(route);
        Ok(reply.held(unsent, holder, head.terms.held_max.half()))
    }

    /// The endpoint of its path.
    async fn endpoint(
        &self,
        terms: &Terms,
        route: Route,
        hit: &RawHit<'_>,
        buffered: &mut Buffered<'_>,
    ) -> Reply {
        match route {
            Route::Events(endpoint) => match self.events(terms, endpoint, hit, buffered).await {
                Ok(reply) => reply,
                Err(refusal) => self.refuse_events(&refusal, hit.path),
            },
            Route::Segments => endpoint::segments::get(self, terms, hit).await,
            Route::Tag => endpoint::tag::get(terms, hit),
            Route::Health => {
                let draining = self.draining.load(Ordering::Relaxed);
                Reply::health(draining, self.disk_hangs.load(Ordering::Relaxed))
            }
        }
    }

    /// The further steps of a request for events, in any protocol. A key outside of the content comes
    /// first, so that a stranger's content is not even parsed.
    async fn events(
        &self,
        terms: &Terms,
        endpoint: &Endpoint,
        hit: &RawHit<'_>,
        buffered: &mut Buffered<'_>,
    ) -> Result<Reply, Refusal> {
        let kept = Kept::default();
        let keyed = self.source_by_key(endpoint, hit)?;
        let envelope = self.decode(terms, endpoint, hit, keyed.as_deref(), &kept)?;
        // Nothing is awaited since the events were read: at most one batch of each thread is not held.
        self.hold(&envelope, buffered)?;
        let sender = self.source(endpoint, keyed, &envelope)?;
        let signals = Signals::of(&hit.signals_with(None), &sender.source);
        let done = ingest(self, terms, hit, &sender, signals, envelope).await;
        Ok(Reply::results(&done.rows)
            .with_retry_after(done.retry_after_s)
            .with_budget(done.budget)
            .with_cookie(done.set_cookie))
    }

    fn well_formed(&self, head: &Head<'_>) -> Result<(), Stop> {
        match request::fault(head.parts, self.listening.headers_max) {
            Some(fault) => Err(Stop::Malformed(fault)),
            None => Ok(()),
        }
    }

    fn hit<'a>(
        &self,
        head: &Head<'a>,
        client: &'a Client<'_>,
        body: &'a [u8],
        trace: Option<&'a RequestTrace>,
    ) -> RawHit<'a> {
        let parts = head.parts;
        RawHit {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            peer: head.channel.peer,
            secure: client.secure,
            host: client.host.as_deref().map(Into::into),
            client_ip: client.ip,
            body,
            received_at: self.clock.now(),
            trace,
        }
    }
}

fn preflight(head: &Head<'_>) -> Result<(), Stop> {
    match head.parts.method {
        Method::OPTIONS => Err(Stop::Preflight),
        _ => Ok(()),
    }
}

fn route(head: &Head<'_>) -> Result<Route, Stop> {
    head.route.ok_or(Stop::NoSuchPath)
}

fn method(head: &Head<'_>, route: Route) -> Result<(), Stop> {
    if route.takes(&head.parts.method) {
        Ok(())
    } else {
        Err(Stop::Method(route))
    }
}
