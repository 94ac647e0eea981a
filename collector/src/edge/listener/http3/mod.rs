//! HTTP/3 on one QUIC connection: each request is read off its stream and answered as over any
//! other version. A connection without requests is closed. At its limit of requests, or when the
//! gateway stops, it sends GOAWAY and finishes what is in work (RFC 9114, section 5.2).
//!
//! h3 0.0.8 takes the last of a pseudo-header that comes twice. The RFC calls that malformed; here no
//! other reader stands between client and gateway that could take the first.

mod transport;
mod body;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use h3::error::{Code, StreamError};
use h3::server::{RequestResolver, RequestStream};
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tokio::sync::watch;

use super::GOAWAY_PATIENCE;
use super::activity::{Activity, Busy, Patience};
use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::metrics::Cut;
use crate::edge::request::{Channel, Scheme};
use body::{Length, StreamBody};
use transport::{Guard, Sending, Transport};

/// Before the next look at a connection that is ending and has no work.
const REJECTED_PAUSE: Duration = Duration::from_millis(10);
/// Headers that belong to a connection, which HTTP/3 has none of (RFC 9114, section 4.2).
const CONNECTION_HEADERS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

type Resolver = RequestResolver<Transport, Bytes>;
type SendHalf = RequestStream<Sending, Bytes>;

/// What its requests share.
struct Connection<A> {
    edge: Arc<Edge<A>>,
    quic: quinn::Connection,
    activity: Arc<Activity>,
}

/// Serves one connection to its end.
pub(super) async fn serve<A>(
    quic: quinn::Connection,
    edge: Arc<Edge<A>>,
    activity: Arc<Activity>,
    stopping: watch::Receiver<bool>,
) where
    A: Accept,
{
    let _open = edge.metrics.open_connection();
    let header_bytes_max = edge.listening.header_bytes_max;
    let buffered = edge.metrics.buffered_bytes.clone();
    let guard = Guard::new(quic.clone(), header_bytes_max, buffered);
    let mut builder = h3::server::builder();
    builder.max_field_section_size(u64::try_from(header_bytes_max).unwrap_or(u64::MAX));
    let built = builder.build(Transport::new(quic.clone(), Arc::clone(&guard)));
    // It waits for the client to let us open streams, and write to them.
    let patience = Duration::from_millis(edge.listening.handshake_timeout_ms);
    // How a client ended its connection is its own affair, here and below.
    if let Ok(Ok(h3)) = tokio::time::timeout(patience, built).await {
        let connection = Connection {
            edge: Arc::clone(&edge),
            quic,
            activity,
        };
        requests(h3, Arc::new(connection), stopping).await;
    }
    if let Some(violation) = guard.violation() {
        edge.metrics.cut(violation.cut());
    }
}

/// Answers requests until the connection ends.
async fn requests<A>(
    mut h3: h3::server::Connection<Transport, Bytes>,
    connection: Arc<Connection<A>>,
    mut stopping: watch::Receiver<bool>,
) where
    A: Accept,
{
    let listening = &connection.edge.listening;
    let requests_max = listening.requests_per_connection_max;
    let mut patience = Patience::of(Duration::from_millis(listening.h3.idle_timeout_ms));
    let mut look = pin!(tokio::time::sleep(patience.shorter()));
    let (mut stopped, mut told_to_end) = (false, false);
    let mut stop = pin!(async {
        let _ = stopping.wait_for(|stop| *stop).await;
    });
    loop {
        let used_up = connection.activity.requests() >= requests_max;
        if !told_to_end && (stopped || used_up) {
            told_to_end = true;
            if used_up {
                connection.edge.metrics.cut(Cut::Requests);
            }
            // The first request that will not be answered: the one after the last.
            let goaway = tokio::time::timeout(GOAWAY_PATIENCE, h3.shutdown(1));
            if !matches!(goaway.await, Ok(Ok(()))) {
                return;
            }
            patience = Patience::of(GOAWAY_PATIENCE);
            connection.activity.rest();
            look.as_mut()
                .reset(tokio::time::Instant::now() + GOAWAY_PATIENCE);
        }
        tokio::select! {
            biased;
            () = stop.as_mut(), if !stopped => stopped = true,
            // Before what is accepted: a client that said GOAWAY too makes that ready all the time.
            () = look.as_mut() => match connection.activity.next_look(patience) {
                Some(next) => look.as_mut().reset(next),
                None => return,
            },
            accepted = h3.accept() => match accepted {
                Ok(Some(resolver)) => {
                    let busy = connection.activity.request(requests_max);
                    tokio::spawn(Arc::clone(&connection).request(resolver, busy));
                }
                // After GOAWAY h3 says so each time it rejects a request while none is in work; closed at
                // once, the client would hear of the end and not of the rejection.
                Ok(None) if told_to_end => tokio::time::sleep(REJECTED_PAUSE).await,
                Ok(None) | Err(_) => return,
            },
        }
    }
}

impl<A> Connection<A>
where
    A: Accept,
{
    /// Not `busy`: it is one more than the connection may have.
    async fn request(self: Arc<Self>, resolver: Resolver, busy: Option<Busy>) {
        let patience = Duration::from_millis(self.edge.listening.header_timeout_ms);
        let resolved = tokio::time::timeout(patience, resolver.resolve_request()).await;
        // Malformed pseudo-headers are the library's to refuse; it has.
        let Ok(Ok((request, stream))) = resolved else {
            return;
        };
        let (mut send, mut receive) = stream.split();
        let Some(_busy) = busy else {
            receive.stop_sending(Code::H3_REQUEST_REJECTED);
            send.stop_stream(Code::H3_REQUEST_REJECTED);
            return;
        };
        let (parts, ()) = request.into_parts();
        let Some(length) = Length::of(&parts.headers).filter(|_| !has_connection(&parts.headers))
        else {
            send.stop_stream(Code::H3_MESSAGE_ERROR);
            return;
        };
        let head = parts.method == Method::HEAD;
        let channel = Channel {
            // It may have moved since the handshake.
            peer: self.quic.remote_address().ip().to_canonical(),
            scheme: Scheme::Https,
            waited_ms: None,
        };
        let body = StreamBody::new(receive, length);
        let response = self
            .edge
            .handle(Request::from_parts(parts, body), channel)
            .await;
        // A client that reads nothing cannot hold on to its answer for ever.
        let response = self.completed(response);
        let patience = self.edge.body_timeout();
        let sent = tokio::time::timeout(patience, answer(&mut send, response, head)).await;
        if sent.is_err() {
            self.edge.metrics.limits.answers_cut.inc();
        }
        if !matches!(sent, Ok(Ok(()))) {
            send.stop_stream(Code::H3_REQUEST_CANCELLED);
        }
    }
}

impl<A> Connection<A> {
    /// What hyper adds to the answers of the other versions.
    fn completed(&self, mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        let now_ms = u64::try_from(self.edge.clock.wall().0).unwrap_or(0);
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now_ms));
        if let Ok(date) = HeaderValue::from_str(&date) {
            response.headers_mut().insert(DATE, date);
        }
        if response.status() != StatusCode::NOT_MODIFIED {
            let length = response.body().size_hint().exact().unwrap_or(0);
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        response
    }
}

fn has_connection(headers: &HeaderMap) -> bool {
    CONNECTION_HEADERS
        .iter()
        .any(|name| headers.contains_key(name))
}

async fn answer(
    send: &mut SendHalf,
    response: Response<Full<Bytes>>,
    head: bool,
) -> Result<(), StreamError> {
    let (parts, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    send.send_response(Response::from_parts(parts, ())).await?;
    if !head && !body.is_empty() {
        send.send_data(body).await?;
    }
    send.finish().await
}
