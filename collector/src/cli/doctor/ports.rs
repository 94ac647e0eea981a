//! Whether the addresses to listen on can be had.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::finding::Finding;
use crate::settings::Settings;

const CHECK: &str = "port";

/// Tries each listener's address, and lets it go at once.
pub fn free(settings: &Settings) -> Vec<Finding> {
    let announced = settings.data_dir.join("addresses.json");
    let announced = std::fs::read_to_string(announced).unwrap_or_default();
    [
        ("edge.http", settings.edge.http),
        ("admin.listen", settings.admin.listen),
    ]
    .map(|(key, address)| {
        let tried = TcpListener::bind(address).map(drop);
        let own = announced.contains(&format!("\"{address}\""));
        judge(key, address, tried.map_err(|error| error.kind()), own)
    })
    .into()
}

/// Says what the system's answer means; `own` where a gateway of this `data_dir` announced it.
pub fn judge(key: &str, address: SocketAddr, tried: Result<(), ErrorKind>, own: bool) -> Finding {
    let at = format!("{key} = {address}");
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
                "see who with: ss -ltnp 'sport = :{}'; or choose another",
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
