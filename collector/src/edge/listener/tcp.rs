//! Connections: accepted up to a limit, spoken to in HTTP/1.1 or HTTP/2 (prior knowledge), dropped
//! when they only wait, and finished in order when the gateway stops.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::pipeline::enrich::GeoLookup;
use crate::settings;

/// Pause after a failed accept (no file descriptors left, mostly), which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Smallest header buffer that hyper takes.
const HEADER_BUFFER_BYTES_MIN: usize = 8_192;

/// Serves until `shutdown` resolves, then until every request in work is answered, at most
/// `edge.body_timeout_ms` longer.
pub async fn serve<A, G>(
    listener: TcpListener,
    edge: Arc<Edge<A, G>>,
    shutdown: impl Future<Output = ()>,
) where
    A: Accept,
    G: GeoLookup + Send + Sync + 'static,
{
    let (stop, stopping) = watch::channel(());
    let http = Arc::new(builder(&edge.settings));
    let places = Arc::new(Semaphore::new(edge.settings.connections_max));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let connection = Connection::new(Arc::clone(&edge), peer, place);
                let (http, stopping) = (Arc::clone(&http), stopping.clone());
                tokio::spawn(async move { connection.run(stream, &http, stopping).await });
            }
            Err(error) => {
                tracing::warn!(%error, "no connection accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, stopping));
    stop.send_replace(());
    let patience = Duration::from_millis(edge.settings.body_timeout_ms);
    if tokio::time::timeout(patience, stop.closed()).await.is_err() {
        let left = edge.metrics.connections.get();
        tracing::warn!(left, "connections cut off at shutdown");
    }
}

/// The next connection, once there is a place for it: beyond the limit clients wait in the
/// kernel's queue instead of costing memory here.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer.ip().to_canonical(), place))
}

fn builder(settings: &settings::Edge) -> auto::Builder<TokioExecutor> {
    let header_bytes = settings.header_bytes_max.max(HEADER_BUFFER_BYTES_MIN);
    let mut http = auto::Builder::new(TokioExecutor::new());
    // A client that closes its sending side still gets its answer. Slow headers are cut off by
    // `Activity`, which costs no timer for each request.
    http.http1()
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(header_bytes);
    http.http2()
        .max_concurrent_streams(settings.h2_streams_max)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
    http
}

/// What a connection has been doing, so that one without a request can be told from a busy one.
#[derive(Debug, Default)]
struct Activity {
    started: AtomicU64,
    finished: AtomicU64,
}

impl Activity {
    /// True where no request is in work and none has started since `seen`.
    fn is_idle(&self, seen: &mut u64) -> bool {
        let started = self.started.load(Ordering::Relaxed);
        let idle = started == *seen && started == self.finished.load(Ordering::Relaxed);
        *seen = started;
        idle
    }
}

struct Connection<A, G> {
    edge: Arc<Edge<A, G>>,
    peer: IpAddr,
    activity: Activity,
    _place: OwnedSemaphorePermit,
}

impl<A, G> Connection<A, G>
where
    A: Accept,
    G: GeoLookup + Send + Sync + 'static,
{
    fn new(edge: Arc<Edge<A, G>>, peer: IpAddr, place: OwnedSemaphorePermit) -> Arc<Self> {
        edge.metrics.connections.inc();
        edge.metrics.connections_total.inc();
        Arc::new(Self {
            edge,
            peer,
            activity: Activity::default(),
            _place: place,
        })
    }

    async fn run(
        self: Arc<Self>,
        stream: TcpStream,
        http: &auto::Builder<TokioExecutor>,
        mut stopping: watch::Receiver<()>,
    ) {
        let service = service_fn(|request: http::Request<Incoming>| {
            let connection = Arc::clone(&self);
            async move {
                connection.activity.started.fetch_add(1, Ordering::Relaxed);
                let finish = Finish(&connection.activity);
                let response = connection.edge.handle(request, connection.peer).await;
                drop(finish);
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
        let mut stop = pin!(stopping.changed());
        let patience = Duration::from_millis(self.edge.settings.header_timeout_ms);
        let mut tick = pin!(tokio::time::sleep(patience));
        let (mut seen, mut told_to_end) = (0, false);
        loop {
            tokio::select! {
                biased;
                // How a client ended its connection is its own affair.
                _ = served.as_mut() => break,
                _ = stop.as_mut(), if !told_to_end => {
                    told_to_end = true;
                    served.as_mut().graceful_shutdown();
                }
                () = tick.as_mut() => {
                    if self.activity.is_idle(&mut seen) {
                        break;
                    }
                    tick.set(tokio::time::sleep(patience));
                }
            }
        }
    }
}

impl<A, G> Drop for Connection<A, G> {
    fn drop(&mut self) {
        self.edge.metrics.connections.dec();
    }
}

/// Counts a request as finished also where it is dropped.
struct Finish<'a>(&'a Activity);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finished.fetch_add(1, Ordering::Relaxed);
    }
}
