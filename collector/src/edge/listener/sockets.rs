//! The edge's sockets: bound here, or handed over already bound. Nothing is read from them yet.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::settings;

/// Connections that the kernel keeps for us until we accept them.
const BACKLOG: u32 = 4_096;
/// Free ports tried where one is wanted that is free for TCP and for UDP.
const PORTS_TRIED: usize = 16;

/// Bound sockets.
#[derive(Debug)]
pub struct Sockets {
    /// For cleartext.
    pub http: TcpListener,
    /// For TLS.
    pub https: Option<TcpListener>,
    /// For HTTP/3, on the port of `https`.
    pub quic: Option<UdpSocket>,
}

/// Sockets that were bound before this process.
#[derive(Debug, Default)]
pub struct Given {
    /// For cleartext.
    pub http: Option<TcpListener>,
    /// For TLS.
    pub https: Option<TcpListener>,
    /// For HTTP/3.
    pub quic: Option<UdpSocket>,
}

/// A socket that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key}): {error}; is another gateway running?")]
pub struct BindError {
    /// Setting that names it.
    pub key: &'static str,
    /// As configured.
    pub address: SocketAddr,
    /// What the system says.
    pub error: io::Error,
}

impl Sockets {
    /// Binds what the settings name and is not given.
    ///
    /// # Errors
    /// [`BindError`]
    pub fn bind(edge: &settings::Edge, given: Given) -> Result<Self, BindError> {
        let failed = |key, address| {
            move |error| BindError {
                key,
                address,
                error,
            }
        };
        let http = match given.http {
            Some(http) => http,
            None => tcp(edge.http).map_err(failed("edge.http", edge.http))?,
        };
        let (mut https, mut quic) = (None, None);
        if let Some(address) = edge.https {
            let failed = failed("edge.https", address);
            if edge.http3 {
                let (tcp, udp) = both(address, given.https, given.quic).map_err(failed)?;
                (https, quic) = (Some(tcp), Some(udp));
            } else {
                let tcp = given.https.map_or_else(|| tcp(address), Ok);
                https = Some(tcp.map_err(failed)?);
            }
        }
        Ok(Self { http, https, quic })
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    }?;
    // A restart does not have to wait for connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// TCP and UDP on one port; where any port will do, on one that is free for both.
fn both(
    address: SocketAddr,
    listener: Option<TcpListener>,
    socket: Option<UdpSocket>,
) -> io::Result<(TcpListener, UdpSocket)> {
    match (listener, socket) {
        (Some(listener), Some(socket)) => return Ok((listener, socket)),
        (Some(listener), None) => {
            let socket = UdpSocket::bind(listener.local_addr()?)?;
            return Ok((listener, socket));
        }
        (None, Some(socket)) => return Ok((tcp(socket.local_addr()?)?, socket)),
        (None, None) => {}
    }
    let mut tries = if address.port() == 0 { PORTS_TRIED } else { 1 };
    loop {
        let listener = tcp(address)?;
        tries -= 1;
        match UdpSocket::bind(listener.local_addr()?) {
            Ok(socket) => return Ok((listener, socket)),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// A listener as the runtime reads it.
pub(super) fn watched(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    // One that was handed over may still block.
    listener.set_nonblocking(true)?;
    super::arrival::note_arrivals(&listener);
    tokio::net::TcpListener::from_std(listener)
}
