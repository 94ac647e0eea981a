//! QUIC: handshakes up to a limit, with a proof of address when there are many, each connection
//! handed to [`super::http3`].
//!
//! 0-RTT is off. Nearly every request here is a POST that stores events, and recorded early data can
//! be replayed (RFC 8446, section 8). A returning browser does not wait for what it would save.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use quinn::{
    Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TransportConfig, VarInt,
};
use tokio::sync::watch;

use super::http3;
use super::places::Places;
use super::tcp::stopped;
use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::metrics::Handshake;
use crate::edge::tls::Tls;
use crate::settings;

/// The control stream, QPACK's two and some that a client invents to keep servers honest
/// (RFC 9114, section 6.2).
const CLIENT_STREAMS_MAX: u32 = 8;
/// Bytes of answers not yet acknowledged on one connection; answers are small.
const SEND_WINDOW_BYTES: u64 = 256 << 10;
/// New connections that wait to be looked at; more are dropped.
const INCOMING_MAX: usize = 4_096;
/// Bytes that they may have sent meanwhile, all together.
const INCOMING_BYTES_MAX: u64 = 16 << 20;

/// Nothing was wrong (RFC 9114, section 8.1).
const H3_NO_ERROR: VarInt = VarInt::from_u32(0x100);

/// An endpoint on a bound socket.
pub(super) fn endpoint(
    socket: UdpSocket,
    tls: &Tls,
    settings: &settings::Http3,
) -> io::Result<Endpoint> {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(Duration::from_millis(settings.idle_timeout_ms));
    transport
        .max_idle_timeout(idle.ok())
        .max_concurrent_bidi_streams(VarInt::from_u32(settings.streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(CLIENT_STREAMS_MAX))
        .receive_window(VarInt::from_u32(settings.receive_window_bytes))
        .stream_receive_window(VarInt::from_u32(settings.receive_window_bytes))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None);
    let mut config = ServerConfig::with_crypto(tls.quic());
    config
        .transport_config(Arc::new(transport))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX);
    let runtime = Arc::new(quinn::TokioRuntime);
    Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)
}

/// Accepts until `stopping` is set; connections hold on to `stopping` until they have ended.
pub(super) async fn serve<A>(
    endpoint: Endpoint,
    edge: Arc<Edge<A>>,
    places: Arc<Places>,
    mut stopping: watch::Receiver<bool>,
) where
    A: Accept,
{
    loop {
        let incoming = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            incoming = endpoint.accept() => incoming,
        };
        match incoming {
            Some(incoming) => admit(incoming, &edge, &places, &stopping),
            None => break,
        }
    }
    // New clients are not heard from now on: their first packet comes again, after a second, to the
    // process that takes over.
    endpoint.set_server_config(None);
    drop(stopping);
    endpoint.wait_idle().await;
}

/// Ends what is left, so that the endpoint can be let go.
pub(super) fn cut_off(endpoint: &Endpoint) {
    endpoint.close(H3_NO_ERROR, b"");
}

/// Lets one client shake hands, sends it to prove its address, or refuses it. Never waits: unlike
/// TCP's, this queue is in our memory.
fn admit<A>(
    incoming: Incoming,
    edge: &Arc<Edge<A>>,
    places: &Arc<Places>,
    stopping: &watch::Receiver<bool>,
) where
    A: Accept,
{
    let metrics = &edge.metrics;
    let under_way = usize::try_from(metrics.quic_handshakes.get()).unwrap_or(0);
    // Where all places are taken, connections end for it.
    let must_prove = under_way >= edge.listening.h3.retry_handshakes || places.all_taken();
    if must_prove && !incoming.remote_address_validated() && incoming.may_retry() {
        metrics.quic_retries.inc();
        // It fails only where `may_retry` is false.
        let _ = incoming.retry();
        return;
    }
    let Some(place) = places.try_take() else {
        // The next one finds a place, where a connection only rests.
        places.make_room();
        metrics.quic_refused.inc();
        incoming.refuse();
        return;
    };
    let Some(own_place) = edge.place_for(incoming.remote_address().ip()) else {
        incoming.refuse();
        return;
    };
    let (edge, mut stopping) = (Arc::clone(edge), stopping.clone());
    places.spawn(place, |occupant| async move {
        // Who says nothing more must not hold up a stop.
        let shaken = tokio::select! {
            biased;
            shaken = shake_hands(incoming, &edge) => shaken,
            () = stopped(&mut stopping) => None,
        };
        if let Some(connection) = shaken {
            http3::serve(connection, edge, occupant.activity(), stopping).await;
        }
        drop(own_place);
    });
}

async fn shake_hands<A>(incoming: Incoming, edge: &Edge<A>) -> Option<quinn::Connection> {
    let _under_way = edge.metrics.quic_handshake();
    let patience = Duration::from_millis(edge.listening.handshake_timeout_ms);
    let shaking = async { incoming.await };
    let (connection, end) = match tokio::time::timeout(patience, shaking).await {
        Ok(Ok(connection)) => (Some(connection), Handshake::Ok),
        Ok(Err(_)) => (None, Handshake::Failed),
        Err(_elapsed) => (None, Handshake::Timeout),
    };
    edge.metrics.handshake(end);
    connection
}
