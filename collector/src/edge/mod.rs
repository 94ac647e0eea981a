//! The edge: sockets in, answers out. It turns HTTP into a `RawHit`, finds the source by its
//! write key, runs the pure pipeline, hands the result to the core, and writes the answer once the
//! receipt is there. It folds nothing and decides nothing about visitors.

mod ack_times;
mod metrics;
mod tls;
mod listening;
mod terms;
mod listener;
mod request;
mod forwarded;
mod body;
mod inflate;
mod route;
mod tag;
mod sources;
mod cookie;
mod limits;
mod accept;
mod intake;
mod refusal;
mod reply;
mod unsent;
mod cors;
mod endpoint;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALT_SVC, CONNECTION, EXPECT};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::Full;
use tidegate_event::Outcome;

pub use accept::Accept;
pub use body::BodyError;
pub use limits::Progress;
pub use listener::{BindError, Given, Listeners, Sockets};
pub use metrics::EdgeMetrics;
pub use request::RawHit;
pub use sources::{RuntimeCatalog, SourceMetrics};
pub use tls::{
    Acme, AcmeError, CertificateError, Certificates, Fresh, Tls, TlsError, TlsMetrics, obtained,
    unusable, watch,
};

use crate::bad_rows::BadRows;
use crate::clock::Clock;
use crate::pipeline::enrich::Enrichment;
use crate::recent::{Ended, RecentOutcomes};
use crate::settings::Settings;
use crate::telemetry::traces::{Answered, RequestTrace, Stage, Traces};
use crate::tracked::Tracked;
use body::{BodyLimits, Buffered};
use cors::Cors;
use forwarded::Client;
use limits::{Admission, AwaitedBodies, Budget, PerAddress, Place};
use listening::Listening;
use refusal::Refusal;
use reply::Reply;
use request::{Channel, Scheme};
use route::Route;
use sources::Sender;
use terms::Terms;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Times the body limit that is read and thrown away after a 413, so that the client sees it.
const DISCARD_FACTOR: usize = 4;

/// How long an answer that needs no body waits for the end of one that comes over HTTP/2.
const NEEDLESS_BODY_PATIENCE_MS: u64 = 1_000;

/// How long the rest of a body is read on, for its client to see the answer, where that body had its
/// time, or is one of many that a connection may bring at once and there is no room for.
const LATE_BODY_PATIENCE_MS: u64 = 1_000;

/// Everything a request needs. Shared by all connections.
pub struct Edge<A> {
    listening: Listening,
    in_force: ArcSwap<Terms>,
    http3_port: Option<u16>,
    catalog: Arc<ArcSwap<RuntimeCatalog>>,
    core: A,
    enrichment: Arc<dyn Enrichment>,
    clock: Arc<dyn Clock>,
    metrics: EdgeMetrics,
    bad_rows: BadRows,
    admission: Admission,
    /// Of each address.
    connections: PerAddress,
    awaited: AwaitedBodies,
    recent: RecentOutcomes,
    draining: Arc<AtomicBool>,
    /// The disk does not answer.
    disk_hangs: Arc<AtomicBool>,
    /// None where nothing is traced.
    traces: Option<Traces>,
}

impl<A> std::fmt::Debug for Edge<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge")
            .field("listening", &self.listening)
            .field("in_force", &self.in_force)
            .finish_non_exhaustive()
    }
}

impl<A: Accept> Edge<A> {
    /// An edge on these parts. Storing a new `RuntimeCatalog` takes effect with the next request.
    #[must_use]
    pub fn new(
        settings: &Settings,
        catalog: Arc<ArcSwap<RuntimeCatalog>>,
        core: A,
        enrichment: Arc<dyn Enrichment>,
        clock: Arc<dyn Clock>,
        metrics: EdgeMetrics,
        bad_rows: BadRows,
    ) -> Self {
        Self {
            listening: Listening::new(&settings.edge),
            in_force: ArcSwap::from_pointee(Terms::new(settings, None)),
            http3_port: None,
            admission: Admission::default(),
            connections: PerAddress::default(),
            awaited: AwaitedBodies::new(&metrics.limits.bodies_awaited),
            catalog,
            core,
            enrichment,
            clock,
            metrics,
            bad_rows,
            recent: RecentOutcomes::default(),
            draining: Arc::default(),
            disk_hangs: Arc::default(),
            traces: None,
        }
    }

    /// Notes in `recent` how events end.
    #[must_use]
    pub fn remembering(mut self, recent: RecentOutcomes) -> Self {
        self.recent = recent;
        self
    }

    /// Health checks fail while `draining` or `disk_hangs` is set; all else is answered as before.
    #[must_use]
    pub fn until(mut self, draining: Arc<AtomicBool>, disk_hangs: Arc<AtomicBool>) -> Self {
        self.draining = draining;
        self.disk_hangs = disk_hangs;
        self
    }

    /// Traces some of its requests.
    #[must_use]
    pub fn tracing(mut self, traces: Option<Traces>) -> Self {
        self.traces = traces;
        self
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        u64::try_from(self.metrics.connections.get()).unwrap_or(0)
    }

    /// Tells browsers that come by TLS of HTTP/3 on this port, or on the one that the settings say
    /// stands for it. Not where a proxy that carries TCP stands in front: UDP does not come through it.
    #[must_use]
    pub fn advertising_http3(mut self, port: u16, settings: &Settings) -> Self {
        self.http3_port = Some(port).filter(|_| !self.listening.proxy_protocol.https);
        self.renew(settings);
        self
    }

    /// Answers every request from now on by other settings; those in work end by the old ones.
    /// What belongs to listeners and connections stays as it was made.
    pub fn renew(&self, settings: &Settings) {
        let next = Terms::new(settings, self.http3_port);
        let next = self.in_force.load().followed_by(next);
        self.in_force.store(Arc::new(next));
    }

    /// One request from head to answer, whatever protocol it came by, wholly by the settings in
    /// force as it came.
    async fn handle<B>(&self, request: Request<B>, channel: Channel) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        // One count up and down for each request, as dear as one of its metrics. A guard would cost
        // nothing, but only eight of a thread do, and thousands are held here while they wait.
        let terms = self.in_force.load_full();
        let since_us = self.clock.monotonic_us();
        let (parts, body) = request.into_parts();
        let trace = self.trace(&terms, &parts, channel);
        let cors = Cors::of(&parts.method, &parts.headers);
        let fault = request::fault(&parts, self.listening.headers_max);
        let reply = match fault {
            None => {
                let trace = trace.as_deref();
                self.answer(&terms, &parts, body, channel, trace).await
            }
            Some(fault) => Reply::error(fault.status, fault.code, fault.message, fault.detail),
        };
        let reply = reply.held(&self.metrics.limits.unsent, terms.buffered_bytes_max / 2);
        self.metrics.answered(parts.version, reply.status);
        let route = terms.routes.of(parts.uri.path());
        let takes_events = route.is_some_and(Route::carries_events);
        if takes_events && reply.status == StatusCode::OK && parts.method != Method::OPTIONS {
            let us = self.clock.monotonic_us().saturating_sub(since_us);
            self.metrics.ack_times.took(us);
        }
        if let Some(trace) = trace {
            trace.answered(Answered {
                method: &parts.method,
                route: route.map(Route::path),
                version: parts.version,
                status: reply.status,
            });
        }
        let gave_up = reply.status == StatusCode::REQUEST_TIMEOUT;
        let mut response = reply.into_response(parts.headers, cors);
        // What is still to come of the body is no next request (RFC 9110, section 15.5.9), nor is
        // anything behind what was malformed to be trusted (RFC 9112, section 11.2).
        if (gave_up || fault.is_some()) && parts.version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        if let (Scheme::Https, Some(alt_svc)) = (channel.scheme, &terms.alt_svc) {
            response.headers_mut().insert(ALT_SVC, alt_svc.clone());
        }
        response
    }

    /// A trace, where the request is one of those that get one.
    fn trace(&self, terms: &Terms, parts: &Parts, channel: Channel) -> Option<Box<RequestTrace>> {
        let traces = self.traces.as_ref()?;
        let believed = terms
            .proxies
            .is_trusted(channel.peer)
            .then_some(&parts.headers);
        traces.begin(believed).map(Box::new)
    }

    async fn answer<B>(
        &self,
        terms: &Terms,
        parts: &Parts,
        mut body: B,
        channel: Channel,
        trace: Option<&RequestTrace>,
    ) -> Reply
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let route = terms.routes.of(parts.uri.path());
        // An answer before a stream's end closes the stream, and hides what was wrong with its rest.
        let is_read = route.is_some_and(Route::reads_body);
        if parts.version == Version::HTTP_2 && !body.is_end_stream() && !is_read {
            let limits = BodyLimits {
                bytes_max: terms.body_bytes_max,
                timeout_ms: NEEDLESS_BODY_PATIENCE_MS,
            };
            body::discard(&mut body, limits).await;
        }
        if parts.method == Method::OPTIONS {
            return Reply::empty();
        }
        let Some(route) = route else {
            let detail = route::instead_of(parts.uri.path());
            return Reply::error(StatusCode::NOT_FOUND, "not_found", "no such path", detail);
        };
        if !route.takes(&parts.method) {
            return Reply::method_not_allowed(route.allow());
        }
        let admitted = self.admit(terms, parts, route, channel);
        let taken = self.take(terms, parts, body, route, admitted).await;
        let reply = match taken {
            Ok(taken) => {
                let mut hit = self.raw_hit(parts, &taken, channel.peer);
                hit.trace = trace;
                hit.ended(Stage::Received);
                let reply = self.route(terms, route, &hit).await;
                reply.with_budget(taken.budget)
            }
            Err(refusal) if route.carries_events() => self.refuse(&refusal, parts.uri.path()),
            Err(refusal) => Reply::refused(&refusal)
                .with_retry_after(refusal.retry_after_s())
                .with_budget(refusal.budget()),
        };
        if route.answers_by_image() {
            reply.into_image()
        } else {
            reply
        }
    }

    async fn route(&self, terms: &Terms, route: Route, hit: &RawHit<'_>) -> Reply {
        match route {
            Route::Events(endpoint) => endpoint::events::take(self, terms, endpoint, hit).await,
            Route::Segments => endpoint::segments::get(self, terms, hit).await,
            Route::Tag => endpoint::tag::get(terms, hit),
            Route::Health => {
                let draining = self.draining.load(Ordering::Relaxed);
                Reply::health(draining, self.disk_hangs.load(Ordering::Relaxed))
            }
        }
    }

    /// The body, inflated. Where it or the request is refused, its rest is read and thrown away
    /// aside.
    async fn take<'t, B>(
        &'t self,
        terms: &Terms,
        parts: &Parts,
        mut body: B,
        route: Route,
        admitted: Result<Taken<'t>, Refusal>,
    ) -> Result<Taken<'t>, Refusal>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let limits = BodyLimits {
            bytes_max: terms.body_bytes_max,
            timeout_ms: terms.body_timeout_ms,
        };
        let taken = match admitted {
            Ok(admitted) if !route.reads_body() => return Ok(admitted),
            Ok(mut admitted) => {
                let wait = || self.awaited.enter(admitted.client.ip, terms.awaited_max);
                body::gather(&mut body, limits, &mut admitted.buffered, wait)
                    .await
                    .and_then(|sent| self.inflated(parts, sent, limits, &mut admitted.buffered))
                    .map(|body| Taken { body, ..admitted })
                    .map_err(|error| {
                        self.metrics.rejected_body(error);
                        Refusal::Body(error)
                    })
            }
            Err(refusal) => Err(refusal),
        };
        // A client that waits for "100 Continue" has sent nothing and shall not be asked to.
        if let Err(refusal) = &taken
            && !parts.headers.contains_key(EXPECT)
        {
            let bytes_max = limits.bytes_max.saturating_mul(DISCARD_FACTOR);
            let no_room = refusal.outcome() == Outcome::Overloaded;
            let timeout_ms = match refusal {
                Refusal::Body(BodyError::Timeout) => LATE_BODY_PATIENCE_MS,
                // Over HTTP/1.1 it holds no more than its own connection.
                _ if no_room && parts.version >= Version::HTTP_2 => LATE_BODY_PATIENCE_MS,
                _ => limits.timeout_ms,
            };
            let limits = BodyLimits {
                bytes_max,
                timeout_ms,
            };
            // What has arrived is thrown away here: under overload a task for each would cost more
            // than the refusal.
            if !body::is_discarded(&mut body).await {
                tokio::spawn(body::discard(body, limits));
            }
        }
        taken
    }

    /// Whether a request may come in at all: said by its head alone, so that a refusal costs as
    /// little as one can.
    fn admit<'t>(
        &'t self,
        terms: &Terms,
        parts: &'t Parts,
        route: Route,
        channel: Channel,
    ) -> Result<Taken<'t>, Refusal> {
        let admitted = if route.carries_events() && !self.admission.admits(channel.waited_ms) {
            Err(Refusal::Behind)
        } else {
            let client = terms.proxies.client(channel, parts);
            let within_limits = if route.is_limited() {
                self.within_limits(terms, client.ip)
            } else {
                Ok((None, None))
            };
            within_limits.map(|(budget, place)| Taken {
                client,
                budget,
                buffered: Buffered::new(&self.metrics.buffered_bytes, terms.buffered_bytes_max),
                body: Bytes::new(),
                _place: place,
            })
        };
        admitted.inspect_err(|refusal| self.metrics.limits.refused(refusal))
    }

    /// What its rate leaves to an address, and a place among the requests in work.
    fn within_limits<'t>(
        &'t self,
        terms: &Terms,
        address: IpAddr,
    ) -> Result<(Option<Budget>, Option<InFlight<'t>>), Refusal> {
        let budget = terms.address_rate.take(address);
        let budget = budget.map_err(Refusal::AddressRate)?;
        let place = InFlight::enter(&self.metrics, terms.in_flight_max);
        Ok((budget, Some(place.ok_or(Refusal::Busy)?)))
    }

    fn inflated(
        &self,
        parts: &Parts,
        sent: Bytes,
        limits: BodyLimits,
        buffered: &mut Buffered<'_>,
    ) -> Result<Bytes, BodyError> {
        let sent_bytes = sent.len();
        self.metrics.body_bytes.inc_by(sent_bytes as u64);
        let body = body::decode(sent, &parts.headers, limits.bytes_max)?;
        if body.len() != sent_bytes {
            buffered.hold(body.len())?;
            self.metrics.inflated_bytes.inc_by(body.len() as u64);
        }
        Ok(body)
    }

    fn raw_hit<'a>(&self, parts: &'a Parts, taken: &'a Taken<'_>, peer: IpAddr) -> RawHit<'a> {
        let client = &taken.client;
        RawHit {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            peer,
            secure: client.secure,
            host: client.host.as_deref().map(Cow::Borrowed),
            client_ip: client.ip,
            body: &taken.body,
            received_at: self.clock.now(),
            trace: None,
        }
    }
}

/// Every path with the methods that it takes.
#[cfg(test)]
pub(crate) fn routes() -> Vec<(&'static str, &'static str)> {
    let is_stub = |route: &Route| {
        let stub = crate::protocols::stub::ENDPOINTS;
        stub.iter()
            .any(|endpoint| *route == Route::Events(endpoint))
    };
    Route::all()
        .filter(|route| !is_stub(route))
        .map(|route| (route.path(), route.allow()))
        .collect()
}

impl<A> Edge<A> {
    /// A place for a connection of `peer` among those that one address may have; None, counted:
    /// it has as many. The connections of a trusted proxy are everybody's and not limited, nor are
    /// those of this host.
    fn place_for(&self, peer: IpAddr) -> Option<Place> {
        let limit = self.listening.connections_per_address_max;
        let is_limited = || !peer.is_loopback() && !self.in_force.load().proxies.is_trusted(peer);
        let place = match limit {
            Some(max) if is_limited() => self.connections.enter(peer, max),
            Some(_) | None => Some(Place::default()),
        };
        if place.is_none() {
            self.metrics.limits.connections_refused.inc();
        }
        place
    }

    /// Whether a PROXY protocol header of `peer` is believed.
    fn may_introduce(&self, peer: IpAddr) -> bool {
        self.in_force.load().proxies.may_introduce(peer)
    }

    /// How long a body, or an answer to a client that reads it slowly, may take.
    fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.in_force.load().body_timeout_ms)
    }

    fn sender_of(&self, key: &str) -> Option<Arc<Sender>> {
        self.catalog.load().sender_of(key.as_bytes()).cloned()
    }

    /// Answers a request to `path` whose events cannot be counted: one received event, one outcome.
    fn refuse(&self, refusal: &Refusal, path: &str) -> Reply {
        Tracked::received(&self.metrics.outcomes, 1).end(refusal.outcome());
        let reply = Reply::refused(refusal);
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
            .with_retry_after(refusal.retry_after_s())
            .with_budget(refusal.budget())
    }
}

/// A request that is let in, with what it takes up while it is in work.
struct Taken<'m> {
    client: Client<'m>,
    body: Bytes,
    /// What its address may still send, where it is limited.
    budget: Option<Budget>,
    buffered: Buffered<'m>,
    /// None where no limit holds.
    _place: Option<InFlight<'m>>,
}

/// A place among the requests in work.
struct InFlight<'m>(&'m EdgeMetrics);

impl<'m> InFlight<'m> {
    fn enter(metrics: &'m EdgeMetrics, requests_max: usize) -> Option<Self> {
        let before = metrics.requests_in_flight.inc();
        let place = Self(metrics);
        usize::try_from(before)
            .is_ok_and(|before| before < requests_max)
            .then_some(place)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.requests_in_flight.dec();
    }
}
