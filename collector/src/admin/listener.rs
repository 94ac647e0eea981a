//! The socket of the admin listener: bounded connections, HTTP/1.1, a polite end.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::control::Control;
use super::route::Admin;

/// After a failed accept (no file descriptors left), this long until the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long open requests may take to end once `shutdown` resolved.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// And how long a connection that has asked nothing so far.
const SILENCE_PATIENCE: Duration = Duration::from_millis(250);

/// Serves until `shutdown` resolves, then lets open requests end. With `tls`, TLS only.
pub async fn serve<C: Control>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    admin: Arc<Admin<C>>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let open = Arc::new(Semaphore::new(admin.settings.connections_max));
    let graceful = GracefulShutdown::new();
    let (stopper, stopping) = watch::channel(());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&open).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "admin listener cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
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
            tokio::select! {
                () = connection(stream, tls, admin, watcher, Arc::clone(&asked)) => {}
                () = silent => {}
            }
            drop(permit);
        });
    }
    drop(stopper);
    let _ = tokio::time::timeout(END_PATIENCE, graceful.shutdown()).await;
}

async fn connection<C: Control>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    admin: Arc<Admin<C>>,
    watcher: Watcher,
    asked: Arc<AtomicBool>,
) {
    let patience = Duration::from_millis(admin.settings.timeout_ms);
    let Some(tls) = tls else {
        return answer(stream, admin, watcher, asked).await;
    };
    match tokio::time::timeout(patience, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, admin, watcher, asked).await,
        Ok(Err(error)) => tracing::debug!(%error, "admin handshake failed"),
        Err(_) => tracing::debug!("admin handshake took longer than admin.timeout"),
    }
}

/// `asked` is set with the first request.
async fn answer<C: Control>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    admin: Arc<Admin<C>>,
    watcher: Watcher,
    asked: Arc<AtomicBool>,
) {
    let patience = Duration::from_millis(admin.settings.timeout_ms);
    let service = service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(admin.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(stream), service);
    // A client that went away mid-request is its own affair.
    let _ = watcher.watch(connection).await;
}
