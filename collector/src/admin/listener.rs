//! The socket of the admin listener: bounded connections, HTTP/1.1, a polite end.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::control::Control;
use super::route::Admin;

/// After a failed accept (no file descriptors left), this long until the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long open requests may take to end once `shutdown` resolved.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Serves until `shutdown` resolves, then lets open requests end. With `tls`, TLS only.
pub async fn serve<C: Control>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    admin: Arc<Admin<C>>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let open = Arc::new(Semaphore::new(admin.settings.connections_max));
    let graceful = GracefulShutdown::new();
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
        tokio::spawn(async move {
            let patience = Duration::from_millis(admin.settings.timeout_ms);
            match tls {
                None => answer(stream, admin, watcher).await,
                Some(tls) => match tokio::time::timeout(patience, tls.accept(stream)).await {
                    Ok(Ok(stream)) => answer(stream, admin, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "admin handshake failed"),
                    Err(_) => tracing::debug!("admin handshake took longer than admin.timeout"),
                },
            }
            drop(permit);
        });
    }
    let _ = tokio::time::timeout(END_PATIENCE, graceful.shutdown()).await;
}

async fn answer<C: Control>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    admin: Arc<Admin<C>>,
    watcher: Watcher,
) {
    let patience = Duration::from_millis(admin.settings.timeout_ms);
    let service = service_fn(move |request| {
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
