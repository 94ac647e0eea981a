//! HTTP/1.1 and HTTP/2 on one connection, cleartext or not: served request by request, ended in order
//! when it only waits, when it had as many requests as it may, and when the gateway stops.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use super::GOAWAY_PATIENCE;
use super::activity::{Activity, Patience};
use super::arrival::Wait;
use super::strict::Strict;
use crate::edge::accept::Accept;
use crate::edge::listening::Listening;
use crate::edge::request::Channel;
use crate::edge::{CLOSE, Edge};
use crate::pipeline::enrich::GeoLookup;

/// Smallest header buffer that hyper takes.
const HEADER_BUFFER_BYTES_MIN: usize = 8_192;

/// At the end a connection without any request so far is kept for so long: its first one may be
/// under way, and its client could not tell that nobody read it.
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
    either: auto::Builder<TokioExecutor>,
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
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

    const fn builder(&self, spoken: Spoken) -> &auto::Builder<TokioExecutor> {
        match spoken {
            Spoken::Either => &self.either,
            Spoken::Http1 => &self.http1,
            Spoken::Http2 => &self.http2,
        }
    }
}

fn builder(listening: &Listening) -> auto::Builder<TokioExecutor> {
    let header_bytes = listening.header_bytes_max.max(HEADER_BUFFER_BYTES_MIN);
    let mut http = auto::Builder::new(TokioExecutor::new());
    // A client that closes its sending side still gets its answer. Slow headers are cut off by
    // `Activity`, which costs no timer for each request.
    http.http1()
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(header_bytes);
    http.http2()
        .max_concurrent_streams(listening.h2_streams_max)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(listening.h2_resets_max)
        .max_local_error_reset_streams(listening.h2_resets_max);
    http
}

/// One connection.
pub(super) struct Connection<A, G> {
    edge: Arc<Edge<A, G>>,
    channel: Channel,
    /// Of what was read last.
    wait: Arc<Wait>,
    activity: Arc<Activity>,
}

impl<A, G> Connection<A, G>
where
    A: Accept,
    G: GeoLookup + Send + Sync + 'static,
{
    pub(super) fn new(edge: Arc<Edge<A, G>>, channel: Channel, wait: Arc<Wait>) -> Arc<Self> {
        Arc::new(Self {
            edge,
            channel,
            wait,
            activity: Arc::default(),
        })
    }

    /// One request, judged by how long it had waited.
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let channel = Channel {
            waited_ms: self.wait.ms(self.edge.clock.now()),
            ..self.channel
        };
        let in_turn = request.version() < Version::HTTP_2;
        let response = self.edge.handle(request, channel).await;
        if in_turn {
            self.wait.answered(self.edge.clock.now());
        }
        response
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
        let requests_max = self.edge.listening.requests_per_connection_max;
        let service = service_fn(|request: Request<Incoming>| {
            let connection = Arc::clone(&self);
            let busy = self.activity.request(requests_max);
            // Boxed: hyper keeps room for it on every connection, which mostly has no request.
            Box::pin(async move {
                let Some(busy) = busy else {
                    // It came before the client heard that there will be no more.
                    return Err(h2::Error::from(h2::Reason::REFUSED_STREAM));
                };
                let in_turn = request.version() < Version::HTTP_2;
                let mut response = connection.answer(request).await;
                if in_turn && connection.activity.requests() >= requests_max {
                    response.headers_mut().insert(CONNECTION, CLOSE);
                }
                drop(busy);
                Ok(response)
            })
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
        // What begins requests is polled right before.
        let mut enough = pin!(poll_fn(|_| {
            match self.activity.requests() >= requests_max {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }));
        let mut patience = Patience {
            head: Duration::from_millis(self.edge.listening.header_timeout_ms),
            idle: Duration::from_millis(self.edge.listening.idle_timeout_ms),
        };
        let mut look = pin!(tokio::time::sleep(patience.shorter()));
        let mut told_to_end = false;
        loop {
            tokio::select! {
                biased;
                // How a client ended its connection is its own affair.
                _ = served.as_mut() => break,
                () = stop.as_mut(), if !told_to_end => {}
                () = enough.as_mut(), if !told_to_end => {}
                () = look.as_mut() => match self.activity.next_look(patience) {
                    Some(next) => {
                        look.as_mut().reset(next);
                        continue;
                    }
                    None if told_to_end => break,
                    None => {
                        self.edge.metrics.limits.connections_idle.inc();
                        if self.activity.awaits_head() {
                            break;
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
        }
    }
}
