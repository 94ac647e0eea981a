//! Listeners: from sockets to requests. One module for each kind of socket and each protocol spoken
//! on it; all of them end in `Edge::handle`. What a request means is decided there.
//!
//! Each listener takes one signal to stop: HTTP/1 connections close after their answer, HTTP/2 and
//! HTTP/3 ones send GOAWAY and finish what is in work.

mod sockets;
mod places;
mod proxy_protocol;
mod arrival;
mod tcp;
mod strict;
mod http;
mod quic;
mod http3;
mod activity;
mod sending;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

pub(in crate::edge) use proxy_protocol::Refused;
pub use sockets::{BindError, Given, Sockets};

use places::Places;

use super::Edge;
use super::accept::Accept;
use super::limits;
use super::request::Scheme;
use super::tls::Tls;

/// After GOAWAY a connection without work is kept for so long: requests under way arrive, and the
/// last answers are acknowledged, within a few round trips.
pub(in crate::edge) const GOAWAY_PATIENCE: Duration = Duration::from_millis(500);

/// The sockets of one edge, ready to be served.
#[derive(Debug)]
pub struct Listeners {
    http: TcpListener,
    https: Option<(TcpListener, Tls)>,
    quic: Option<quinn::Endpoint>,
}

impl Listeners {
    /// Takes bound sockets; TLS and QUIC ones need `tls`.
    ///
    /// # Errors
    /// Where the runtime cannot watch a socket.
    pub fn new(
        sockets: Sockets,
        tls: Option<Tls>,
        h3: &crate::settings::Http3,
    ) -> io::Result<Self> {
        let Sockets { http, https, quic } = sockets;
        let quic = match (quic, &tls) {
            (Some(socket), Some(tls)) => Some(quic::endpoint(socket, tls, h3)?),
            (None, _) | (_, None) => None,
        };
        let https = match (https, tls) {
            (Some(socket), Some(tls)) => Some((sockets::watched(socket)?, tls)),
            (None, _) | (_, None) => None,
        };
        let http = sockets::watched(http)?;
        Ok(Self { http, https, quic })
    }

    /// Serves until `stop` resolves, then until every request in work is answered, at most
    /// `edge.body_timeout` longer.
    pub async fn serve<A>(self, edge: Arc<Edge<A>>, stop: impl Future<Output = ()>)
    where
        A: Accept,
    {
        let ended = edge.metrics.limits.connections_idle.clone();
        let places = Places::new(edge.listening.connections_max, ended);
        let (stopper, stopping) = watch::channel(false);
        let since = edge.clock.wall();
        let plain = tcp::Tcp {
            scheme: Scheme::Http,
            proxied: edge.listening.proxy_protocol.http,
            tls: None,
            edge: Arc::clone(&edge),
            places: Arc::clone(&places),
            since,
        };
        let http = tcp::serve(self.http, plain, stopping.clone());
        let https = self.https.map(|(listener, tls)| {
            let secure = tcp::Tcp {
                scheme: Scheme::Https,
                proxied: edge.listening.proxy_protocol.https,
                tls: Some(tls.acceptor()),
                edge: Arc::clone(&edge),
                places: Arc::clone(&places),
                since,
            };
            tcp::serve(listener, secure, stopping.clone())
        });
        let endpoint = self.quic.clone();
        let quic = self
            .quic
            .map(|endpoint| quic::serve(endpoint, Arc::clone(&edge), places, stopping));
        let stop = async {
            stop.await;
            stopper.send_replace(true);
            if tokio::time::timeout(edge.body_timeout(), stopper.closed())
                .await
                .is_err()
            {
                let left = edge.metrics.connections.get();
                tracing::warn!(left, "connections cut off at shutdown");
                if let Some(endpoint) = endpoint {
                    quic::cut_off(&endpoint);
                }
            }
        };
        let served = async { tokio::join!(http, maybe(https), maybe(quic), stop) };
        tokio::select! {
            _ = served => {}
            () = limits::watch(&edge) => {}
        }
    }
}

async fn maybe(serving: Option<impl Future<Output = ()>>) {
    if let Some(serving) = serving {
        serving.await;
    }
}
