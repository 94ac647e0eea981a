//! HTTP/1.1 and HTTP/2 on one connection, cleartext or not: served request by request, ended in order
//! when it only waits, when it had as many requests as it may, and when the gateway stops.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use super::GOAWAY_PATIENCE;
use super::activity::{Activity, Busy, Patience};
use super::arrival::Wait;
use super::sending::{Answer, Streams, Untaken, Within, answered};
use super::strict::Strict;
use crate::edge::accept::Accept;
use crate::edge::listening::Listening;
use crate::edge::metrics::Cut;
use crate::edge::request::Channel;
use crate::edge::{CLOSE, Edge};

/// Smallest header buffer that hyper takes.
const HEADER_BUFFER_BYTES_MIN: usize = 8_192;

/// Bytes of one HTTP/2 answer that the library keeps, where the client has room for them and the
/// connection has not.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Extra time for an answer beyond `edge.body_timeout` before the connection is cut: by then a stream of
/// HTTP/2 has ended by itself, and what is left is not read off the connection.
const UNTAKEN_GRACE: Duration = Duration::from_secs(1);

/// Time that a stop leaves to a connection without any request so far: its first one may be under
/// way, and the client could not know that it was never read.
const FRESH_PATIENCE: Duration = Duration::from_millis(250);

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// HTTP/1.1, or HTTP/2 with prior knowledge: its first bytes tell.
    Either,
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
}

/// How each of them is served; made once for a listener.
pub(super) struct Protocols {
    either: auto::Builder<Streams>,
    http1: auto::Builder<Streams>,
    http2: auto::Builder<Streams>,
}

impl Protocols {
    pub(super) fn new(listening: &Listening) -> Self {
        let either = builder(listening);
        Self {
            http1: either.clone().http1_only(),
            http2: either.clone().http2_only(),
            either,
        }
    }

    const fn builder(&self, spoken: Spoken) -> &auto::Builder<Streams> {
        match spoken {
            Spoken::Either => &self.either,
            Spoken::Http1 => &self.http1,
            Spoken::Http2 => &self.http2,
        }
    }
}

fn builder(listening: &Listening) -> auto::Builder<Streams> {
    let header_bytes = listening.header_bytes_max.max(HEADER_BUFFER_BYTES_MIN);
    let mut http = auto::Builder::new(Streams);
    // A client that closes its sending side still gets its answer. Slow headers are cut off by
    // `Activity`, which costs no timer for each request.
    http.http1()
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(listening.headers_max)
        .max_buf_size(header_bytes);
    http.http2()
        .max_concurrent_streams(listening.h2_streams_max)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(listening.h2_resets_max)
        .max_local_error_reset_streams(listening.h2_resets_max);
    http
}

/// One connection.
pub(super) struct Connection<A> {
    edge: Arc<Edge<A>>,
    channel: Channel,
    /// Of what was read last.
    wait: Arc<Wait>,
    activity: Arc<Activity>,
    untaken: Arc<Untaken>,
}

/// What a look at a connection finds.
enum Look {
    /// Nothing is wrong; when to look again.
    Again(Instant),
    /// It has waited too long for its client.
    Waited,
    /// Its client did not take an answer.
    Untaken,
}

impl<A> Connection<A>
where
    A: Accept,
{
    pub(super) fn new(
        edge: Arc<Edge<A>>,
        channel: Channel,
        wait: Arc<Wait>,
        activity: Arc<Activity>,
    ) -> Arc<Self> {
        Arc::new(Self {
            edge,
            channel,
            wait,
            activity,
            untaken: Arc::default(),
        })
    }

    /// One request, judged by how long it had waited; refused where it is not `busy`, being one more
    /// than the connection may have.
    async fn answer(
        &self,
        request: Request<Incoming>,
        busy: Option<Busy>,
    ) -> Result<Response<Answer>, h2::Error> {
        let Some(_busy) = busy else {
            // It came before the client heard that there will be no more.
            return Err(h2::Reason::REFUSED_STREAM.into());
        };
        let channel = Channel {
            waited_ms: self.wait.ms(self.edge.clock.wall()),
            ..self.channel
        };
        let in_turn = request.version() < Version::HTTP_2;
        let is_head = request.method() == Method::HEAD;
        let mut response = bodiless(self.edge.handle(request, channel).await, is_head);
        if in_turn {
            self.wait.answered(self.edge.clock.wall());
            if self.activity.requests() >= self.requests_max() {
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
        }
        answered(|| Within {
            time: self.edge.body_timeout(),
            cut: self.edge.metrics.limits.answers_cut.clone(),
        });
        let (head, body) = response.into_parts();
        let body = Answer::of(body, &self.untaken).await;
        Ok(Response::from_parts(head, body))
    }

    fn look(&self, patience: Patience) -> Look {
        let limit = self.edge.body_timeout() + UNTAKEN_GRACE;
        let now = Instant::now();
        let taken_by = self.untaken.since().unwrap_or(now) + limit;
        if taken_by <= now {
            return Look::Untaken;
        }
        match self.activity.next_look(patience) {
            Some(next) => Look::Again(next.min(taken_by)),
            None => Look::Waited,
        }
    }

    fn requests_max(&self) -> u64 {
        self.edge.listening.requests_per_connection_max
    }

    /// Counts how the connection ended.
    fn ended(&self, error: Option<&(dyn Error + 'static)>) {
        let why = if self.activity.is_refused() {
            Some(Cut::Framing)
        } else if let Some(error) = error {
            cut_by(error)
        } else {
            (self.activity.requests() >= self.requests_max()).then_some(Cut::Requests)
        };
        if let Some(why) = why {
            self.edge.metrics.cut(why);
        }
    }

    pub(super) async fn run<S>(
        self: Arc<Self>,
        stream: S,
        protocols: &Protocols,
        spoken: Spoken,
        mut stopping: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request: Request<Incoming>| {
            let connection = Arc::clone(&self);
            let busy = self.activity.request(self.requests_max());
            // Boxed: hyper keeps room for it on every connection, which mostly has no request.
            Box::pin(async move { connection.answer(request, busy).await })
        });
        let stream = TokioIo::new(Strict::new(
            stream,
            spoken != Spoken::Http2,
            Arc::clone(&self.activity),
        ));
        let mut served = pin!(protocols.builder(spoken).serve_connection(stream, service));
        let mut stop = pin!(async {
            let _ = stopping.wait_for(|stop| *stop).await;
            if self.activity.requests() == 0 {
                tokio::time::sleep(FRESH_PATIENCE).await;
            }
        });
        let mut used_up = pin!(self.activity.used_up(self.requests_max()));
        let mut patience = Patience {
            head: Duration::from_millis(self.edge.listening.header_timeout_ms),
            idle: Duration::from_millis(self.edge.listening.idle_timeout_ms),
        };
        let mut look = pin!(tokio::time::sleep(patience.shorter()));
        let mut told_to_end = false;
        let error = loop {
            tokio::select! {
                biased;
                ended = served.as_mut() => break ended.err(),
                () = stop.as_mut(), if !told_to_end => {}
                () = used_up.as_mut(), if !told_to_end => {}
                () = look.as_mut() => match self.look(patience) {
                    Look::Again(next) => {
                        look.as_mut().reset(next);
                        continue;
                    }
                    Look::Untaken => {
                        self.edge.metrics.limits.answers_cut.inc();
                        break None;
                    }
                    Look::Waited if told_to_end => break None,
                    Look::Waited => {
                        self.edge.metrics.limits.connections_idle.inc();
                        if self.activity.awaits_head() {
                            break None;
                        }
                    }
                }
            }
            // HTTP/2 says GOAWAY and refuses what it has not begun; HTTP/1.1 closes when it rests.
            told_to_end = true;
            served.as_mut().graceful_shutdown();
            patience = Patience::of(GOAWAY_PATIENCE);
            self.activity.rest();
            look.as_mut().reset(Instant::now() + GOAWAY_PATIENCE);
        };
        self.ended(error.as_deref().map(|error| error as _));
    }
}

/// The answer without its body, where it has none by HTTP (RFC 9110, section 6.4.1): over HTTP/2
/// hyper would send it, and clients end the connection at that. The length of HEAD stays that of GET.
fn bodiless(response: Response<Full<Bytes>>, is_head: bool) -> Response<Full<Bytes>> {
    let no_content = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if !is_head && !no_content {
        return response;
    }
    let (mut head, body) = response.into_parts();
    if let (false, Some(length)) = (no_content, body.size_hint().exact()) {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, Full::default())
}

/// What a client sent, where a connection ended by it. How else it ended is the client's own affair.
fn cut_by(error: &(dyn Error + 'static)) -> Option<Cut> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_parse_too_large() {
        return Some(Cut::HeadTooLarge);
    }
    if error.is_parse() {
        return Some(Cut::Malformed);
    }
    let error = error.source()?.downcast_ref::<h2::Error>()?;
    match error.reason() {
        _ if !error.is_library() => None,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Some(Cut::Flood),
        Some(_) | None => Some(Cut::Malformed),
    }
}
