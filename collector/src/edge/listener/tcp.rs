//! TCP: accepts connections up to a limit, reads the client's address from the PROXY protocol, does the
//! TLS handshake, and hands the connection to [`super::http`].

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tidegate_event::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use super::arrival::Timed;
use super::http::{Connection, Protocols, Spoken};
use super::places::{LOOK, Occupant, Places};
use super::proxy_protocol;
use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::metrics::Handshake;
use crate::edge::request::{Channel, Scheme};
use crate::edge::tls::PROVING;

/// Pause after a failed accept (no file descriptors left, mostly), which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection that has not said what it wants outlasts the order to stop.
const STOP_GRACE: Duration = Duration::from_millis(250);

/// How the connections of one listener are treated.
pub(super) struct Tcp<A> {
    pub(super) scheme: Scheme,
    /// Whether they begin with a PROXY protocol header.
    pub(super) proxied: bool,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) edge: Arc<Edge<A>>,
    /// Shared by all listeners.
    pub(super) places: Arc<Places>,
    /// When this process began to serve: before it nothing could be read.
    pub(super) since: Timestamp,
}

/// Accepts until `stopping` is set; connections hold on to `stopping` until they have ended.
pub(super) async fn serve<A>(
    listener: TcpListener,
    tcp: Tcp<A>,
    mut stopping: watch::Receiver<bool>,
) where
    A: Accept,
{
    let protocols = Arc::new(Protocols::new(&tcp.edge.listening));
    let mut since = tcp.since;
    let tcp = Arc::new(tcp);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            accepted = accept(&listener, &tcp.places) => accepted,
        };
        match accepted {
            Ok(Accepted {
                stream,
                peer,
                place,
                had_to_wait,
            }) => {
                if had_to_wait {
                    // Until now it waited for a place, and so did all that is queued behind it.
                    since = tcp.edge.clock.wall();
                }
                let (tcp, protocols) = (Arc::clone(&tcp), Arc::clone(&protocols));
                let stopping = stopping.clone();
                let stream = Timed::new(stream, since);
                Arc::clone(&tcp.places).spawn(place, |occupant| async move {
                    tcp.connection(stream, peer, &occupant, &protocols, stopping)
                        .await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no connection accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection and its place.
struct Accepted {
    stream: TcpStream,
    peer: IpAddr,
    place: OwnedSemaphorePermit,
    /// It may have stood in the kernel's queue because there was no place, not for its turn.
    had_to_wait: bool,
}

/// The next connection, once there is a place for it: beyond the limit all wait in the kernel's
/// queue, where they cost us nothing and a process that takes over finds them, and connections that
/// only rest end for them.
async fn accept(listener: &TcpListener, places: &Arc<Places>) -> io::Result<Accepted> {
    let mut place = Box::pin(Arc::clone(places).take());
    let mut had_to_wait = false;
    let mut look = None;
    let (accepted, place) = poll_fn(|context| {
        let Poll::Ready(held) = place.as_mut().poll(context) else {
            // With places left it is only the runtime that lets other tasks have their turn.
            if places.all_taken() {
                had_to_wait = true;
                let look = look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
                while look.as_mut().poll(context).is_ready() {
                    places.make_room_at(listener);
                    look.as_mut().reset(Instant::now() + LOOK);
                }
            }
            return Poll::Pending;
        };
        match listener.poll_accept(context) {
            Poll::Ready(accepted) => Poll::Ready((accepted, held)),
            // A listener without clients must not hold a place that another one needs.
            Poll::Pending => {
                had_to_wait = false;
                place.set(Arc::clone(places).take());
                Poll::Pending
            }
        }
    })
    .await;
    let (stream, peer) = accepted?;
    stream.set_nodelay(true)?;
    Ok(Accepted {
        stream,
        peer: peer.ip().to_canonical(),
        place: place.map_err(io::Error::other)?,
        had_to_wait,
    })
}

/// Some time after the order to stop: enough for a client that is about to speak.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
    sleep(STOP_GRACE).await;
}

impl<A> Tcp<A>
where
    A: Accept,
{
    async fn connection(
        &self,
        mut stream: Timed,
        peer: IpAddr,
        occupant: &Occupant,
        protocols: &Protocols,
        mut stopping: watch::Receiver<bool>,
    ) {
        let _open = self.edge.metrics.open_connection();
        let wait = stream.wait();
        // Who says nothing must not hold up a stop.
        let named = tokio::select! {
            biased;
            named = self.client_of(&mut stream, peer) => named,
            () = stopped(&mut stopping) => None,
        };
        let Some(peer) = named else {
            return;
        };
        let Some(_place) = self.edge.place_for(peer) else {
            return;
        };
        let channel = Channel {
            peer,
            scheme: self.scheme,
            waited_ms: None,
        };
        let connection =
            || Connection::new(Arc::clone(&self.edge), channel, wait, occupant.activity());
        // Each stage is boxed: a task is as large as the largest of all that it may ever wait for,
        // and an idle connection would hold room for its handshake, and for TLS without having any.
        match &self.tls {
            None => Box::pin(connection().run(stream, protocols, Spoken::Either, stopping)).await,
            Some(tls) => {
                let shaken = tokio::select! {
                    biased;
                    shaken = Box::pin(self.shake_hands(tls, stream)) => shaken,
                    () = stopped(&mut stopping) => None,
                };
                let Some(mut stream) = shaken else {
                    return;
                };
                if stream.get_ref().1.alpn_protocol() == Some(PROVING) {
                    // The handshake was all that the authority came for.
                    let _ = stream.shutdown().await;
                    return;
                }
                let spoken = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Spoken::Http2,
                    Some(_) | None => Spoken::Http1,
                };
                Box::pin(connection().run(stream, protocols, spoken, stopping)).await;
            }
        }
    }

    /// Whose connection it is: the peer's, or whom the proxy's header names. None: to be closed.
    async fn client_of(&self, stream: &mut Timed, peer: IpAddr) -> Option<IpAddr> {
        if !self.proxied {
            return Some(peer);
        }
        let patience = Duration::from_millis(self.edge.listening.header_timeout_ms);
        let read = if self.edge.may_introduce(peer) {
            proxy_protocol::read(stream, patience).await
        } else {
            Err(proxy_protocol::Refused::Untrusted)
        };
        self.edge.metrics.proxy_header(read.as_ref().err().copied());
        read.ok().map(|named| named.unwrap_or(peer))
    }

    async fn shake_hands(
        &self,
        tls: &TlsAcceptor,
        stream: Timed,
    ) -> Option<tokio_rustls::server::TlsStream<Timed>> {
        let patience = Duration::from_millis(self.edge.listening.handshake_timeout_ms);
        let (stream, end) = match tokio::time::timeout(patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => (Some(stream), Handshake::Ok),
            Ok(Err(_)) => (None, Handshake::Failed),
            Err(_elapsed) => (None, Handshake::Timeout),
        };
        self.edge.metrics.handshake(end);
        stream
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use prometheus_client::metrics::counter::Counter;

    use super::*;

    fn listening() -> (std::net::TcpListener, TcpListener) {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let same = socket.try_clone().unwrap();
        (socket, TcpListener::from_std(same).unwrap())
    }

    #[tokio::test]
    async fn without_a_place_a_client_waits_in_the_queue_for_whoever_takes_over() {
        let (socket, listener) = listening();
        let client = TcpStream::connect(socket.local_addr().unwrap());
        let client = client.await.unwrap();
        let none = Places::new(0, Counter::default());
        let patience = Duration::from_millis(50);
        let accepted = tokio::time::timeout(patience, accept(&listener, &none));
        assert!(accepted.await.is_err());
        drop(listener);
        let successor = TcpListener::from_std(socket).unwrap();
        let (_, peer) = successor.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }

    async fn waits(mut future: Pin<&mut impl Future>) -> bool {
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn who_waited_for_a_place_is_told_from_who_waited_for_his_turn() {
        let (socket, listener) = listening();
        let address = socket.local_addr().unwrap();
        let places = Places::new(1, Counter::default());
        let _first = TcpStream::connect(address).await.unwrap();
        let first = accept(&listener, &places).await.unwrap();
        assert!(!first.had_to_wait);
        let _second = TcpStream::connect(address).await.unwrap();
        let mut second = Box::pin(accept(&listener, &places));
        assert!(waits(second.as_mut()).await);
        drop(first);
        let second = second.await.unwrap();
        assert!(second.had_to_wait);
        drop(second);
        // Nobody was there when the place came back.
        let mut third = Box::pin(accept(&listener, &places));
        assert!(waits(third.as_mut()).await);
        let _third = TcpStream::connect(address).await.unwrap();
        assert!(!third.await.unwrap().had_to_wait);
    }

    #[tokio::test]
    async fn a_listener_that_nobody_comes_to_leaves_the_last_place_to_another() {
        let ((_, quiet), (socket, busy)) = (listening(), listening());
        let places = Places::new(1, Counter::default());
        for _ in 0..3 {
            let client = TcpStream::connect(socket.local_addr().unwrap());
            let _client = client.await.unwrap();
            tokio::select! {
                biased;
                _ = accept(&quiet, &places) => unreachable!("nobody came"),
                accepted = accept(&busy, &places) => drop(accepted.unwrap()),
            }
        }
    }
}
