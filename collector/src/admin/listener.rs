//! The socket of the admin listener: bounded connections, HTTP/1.1, a polite end.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::places::{Awaited, Place, Places};
use super::reply::Reply;
use super::spare::Spare;
use crate::settings;

/// After a failed accept (no file descriptors left), this long until the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long open requests may take to end once `shutdown` resolved.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// And how long a connection that has asked nothing so far.
const SILENCE_PATIENCE: Duration = Duration::from_millis(250);

/// What answers the requests of the listener.
pub trait Answer: Send + Sync + 'static {
    /// The listener's bounds.
    fn settings(&self) -> &settings::Admin;

    /// Answers one request; never fails.
    fn answer<B: Body>(&self, request: Request<B>) -> impl Future<Output = Reply> + Send;
}

/// The body of a request.
pub trait Body:
    http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send
{
}

impl<B> Body for B where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send
{
}

/// Serves until `shutdown` resolves, then lets open requests end. With `tls`, TLS only.
pub async fn serve<A: Answer>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    admin: Arc<A>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let patience = Duration::from_millis(admin.settings().timeout_ms);
    let places = Places::new(admin.settings().connections_max, patience);
    let graceful = GracefulShutdown::new();
    let (stopper, stopping) = watch::channel(());
    let mut shutdown = std::pin::pin!(shutdown);
    let mut spare = Spare::new();
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            () = spare.renewed() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "admin listener cannot accept");
                // Where no file is left, the one that is kept for this lets a client in.
                if !spare.give_up() {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let held = tokio::select! {
            () = &mut shutdown => break,
            held = places.take() => held,
        };
        let (admin, tls, watcher) = (Arc::clone(&admin), tls.clone(), graceful.watcher());
        let mut stopping = stopping.clone();
        tokio::spawn(async move {
            let asked = Arc::new(AtomicBool::new(false));
            // Who says nothing must not hold up a stop.
            let silent = async {
                let _ = stopping.changed().await;
                tokio::time::sleep(SILENCE_PATIENCE).await;
                if asked.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
            };
            let requests = Requests {
                asked: Arc::clone(&asked),
                place: Arc::clone(&held.place),
            };
            tokio::select! {
                () = connection(stream, tls, admin, watcher, requests) => {}
                () = silent => {}
                () = held.over() => {}
            }
        });
    }
    drop(stopper);
    let _ = tokio::time::timeout(END_PATIENCE, graceful.shutdown()).await;
}

/// What is noted of the requests of one connection.
struct Requests {
    /// Set with the first one.
    asked: Arc<AtomicBool>,
    place: Arc<Place>,
}

async fn connection<A: Answer>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    admin: Arc<A>,
    watcher: Watcher,
    requests: Requests,
) {
    let patience = Duration::from_millis(admin.settings().timeout_ms);
    let Some(tls) = tls else {
        return answer(stream, admin, watcher, requests).await;
    };
    match tokio::time::timeout(patience, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, admin, watcher, requests).await,
        Ok(Err(error)) => tracing::debug!(%error, "admin handshake failed"),
        Err(_) => tracing::debug!("admin handshake took longer than admin.timeout"),
    }
}

async fn answer<A: Answer>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    admin: Arc<A>,
    watcher: Watcher,
    requests: Requests,
) {
    let patience = Duration::from_millis(admin.settings().timeout_ms);
    let service = service_fn(move |request: Request<Incoming>| {
        requests.asked.store(true, Ordering::Relaxed);
        let request = Request::map(request, |body| {
            Awaited::new(body, Arc::clone(&requests.place))
        });
        let (admin, in_work) = (Arc::clone(&admin), requests.place.request());
        async move {
            let reply = admin.answer(request).await;
            drop(in_work);
            Ok::<_, Infallible>(reply)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(stream), service);
    // A client that went away mid-request is its own affair.
    let _ = watcher.watch(connection).await;
}
