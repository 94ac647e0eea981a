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
#[error("cannot listen on {address} ({key}): {error}; {}", remedy(error))]
pub struct BindError {
    /// Setting that names it.
    pub key: &'static str,
    /// As configured.
    pub address: SocketAddr,
    /// What the system says.
    pub error: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "is another gateway running? See who listens with: ss -lntup",
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs CAP_NET_BIND_SERVICE: give it to the service, or choose a port from 1024 on"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: write one of its own, or 0.0.0.0 for all of them"
        }
        _ => "choose another address",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: SocketAddr) -> String {
        let mut edge = settings::Settings::default().edge;
        edge.http = address;
        Sockets::bind(&edge, Given::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_address_that_cannot_be_had_is_told_with_what_helps() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let said = refused(taken.local_addr().unwrap());
        assert!(said.contains("another gateway"), "{said}");
        // TEST-NET-1 (RFC 5737) is nobody's.
        let said = refused("192.0.2.1:0".parse().unwrap());
        assert!(said.contains("no such address"), "{said}");
        let denied = io::ErrorKind::PermissionDenied.into();
        assert!(remedy(&denied).contains("CAP_NET_BIND_SERVICE"));
    }
}
