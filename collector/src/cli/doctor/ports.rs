//! Whether the addresses to listen on can be had.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use super::finding::Finding;
use crate::settings::Settings;

const CHECK: &str = "port";

/// Tries each listener's address, and lets it go at once.
pub fn free(settings: &Settings) -> Vec<Finding> {
    let announced = settings.data_dir.join("addresses.json");
    let announced = std::fs::read_to_string(announced).unwrap_or_default();
    let edge = &settings.edge;
    [
        ("edge.http", Transport::Tcp, Some(edge.http)),
        ("edge.https", Transport::Tcp, edge.https),
        (
            "edge.https",
            Transport::Udp,
            edge.https.filter(|_| edge.http3),
        ),
        ("admin.listen", Transport::Tcp, Some(settings.admin.listen)),
    ]
    .into_iter()
    .filter_map(|(key, transport, address)| Some((key, transport, address?)))
    .map(|(key, transport, address)| {
        let tried = match transport {
            Transport::Tcp => TcpListener::bind(address).map(drop),
            Transport::Udp => UdpSocket::bind(address).map(drop),
        };
        let own = announced.contains(&format!("\"{address}\""));
        let tried = tried.map_err(|error| error.kind());
        judge(key, transport, address, tried, own)
    })
    .collect()
}

/// What a port is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP/1.1 and HTTP/2.
    Tcp,
    /// HTTP/3.
    Udp,
}

/// Says what the system's answer means; `own` where a gateway of this `data_dir` announced it.
pub fn judge(
    key: &str,
    transport: Transport,
    address: SocketAddr,
    tried: Result<(), ErrorKind>,
    own: bool,
) -> Finding {
    let (name, option) = match transport {
        Transport::Tcp => ("", 't'),
        Transport::Udp => (" (UDP, for HTTP/3)", 'u'),
    };
    let at = format!("{key} = {address}{name}");
    match tried {
        Ok(()) => Finding::ok(CHECK, format!("{at} is free")),
        Err(ErrorKind::AddrInUse) if own => Finding::ok(
            CHECK,
            format!("{at} is taken, as the gateway of this data_dir announced"),
        ),
        Err(ErrorKind::AddrInUse) => Finding::fail(
            CHECK,
            format!("{at} is taken by another process"),
            format!(
                "see who with: ss -l{option}np 'sport = :{}'; or choose another",
                address.port()
            ),
        ),
        Err(ErrorKind::PermissionDenied) => Finding::fail(
            CHECK,
            format!("{at} is not allowed to this user"),
            "choose a port from 1024 on, or give the service CAP_NET_BIND_SERVICE",
        ),
        Err(kind) => Finding::fail(
            CHECK,
            format!("{at} cannot be had: {kind}"),
            "write an address of this machine, or 0.0.0.0 for all of them",
        ),
    }
}
