//! Every listening socket, inherited or newly bound, and the certificates of TLS. Nothing is accepted
//! from them yet.

use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use super::hand_over::Inherited;
use super::start::StartError;
use crate::clock::{Clock, SystemClock};
use crate::edge::{BindError, Given, Sockets, Tls, TlsMetrics};
use crate::settings::{self, Settings};

/// The sockets of the edge and of the admin API.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) sockets: Sockets,
    pub(super) admin: net::TcpListener,
    pub(super) tls: Option<Tls>,
}

impl Bound {
    /// Takes from `inherited` what fits. `admin` is the admin listener where it is open already.
    pub(super) fn open(
        settings: &Settings,
        inherited: &mut Inherited,
        admin: Option<net::TcpListener>,
        clock: &Arc<SystemClock>,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let (sockets, admin) = open_sockets(settings, inherited, admin)?;
        let tls = open_tls(settings, clock, registry)?;
        Ok(Self {
            sockets,
            admin,
            tls,
        })
    }
}

fn open_tls(
    settings: &Settings,
    clock: &Arc<SystemClock>,
    registry: &mut Registry,
) -> Result<Option<Tls>, StartError> {
    if settings.edge.https.is_none() {
        return Ok(None);
    }
    let metrics = TlsMetrics::register(registry);
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let tls = Tls::open(&settings.edge.tls, &settings.data_dir, clock, metrics)?;
    Ok(Some(tls))
}

/// Where the edge listens, with the ports that it got.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) http: SocketAddr,
    pub(super) https: Option<SocketAddr>,
    pub(super) quic: Option<SocketAddr>,
}

impl Addresses {
    pub(super) fn of(sockets: &Sockets) -> Result<Self, StartError> {
        let of = || {
            Ok(Self {
                http: sockets.http.local_addr()?,
                https: sockets
                    .https
                    .as_ref()
                    .map(|tcp| tcp.local_addr())
                    .transpose()?,
                quic: sockets
                    .quic
                    .as_ref()
                    .map(|udp| udp.local_addr())
                    .transpose()?,
            })
        };
        of().map_err(StartError::Sockets)
    }
}

/// Every socket that is inherited, and the others newly bound.
fn open_sockets(
    settings: &Settings,
    inherited: &mut Inherited,
    admin: Option<net::TcpListener>,
) -> Result<(Sockets, net::TcpListener), StartError> {
    let edge = &settings.edge;
    let given = Given {
        http: inherited.tcp("http", edge.http),
        https: edge.https.and_then(|wanted| inherited.tcp("https", wanted)),
        quic: edge
            .https
            .filter(|_| edge.http3)
            .and_then(|wanted| inherited.udp("quic", wanted)),
    };
    let address = settings.admin.listen;
    let admin = admin.or_else(|| inherited.tcp("admin", address));
    inherited.all_served(edge)?;
    let sockets = Sockets::bind(edge, given)?;
    let admin = admin.map_or_else(|| net::TcpListener::bind(address), Ok);
    let admin = admin.map_err(|error| BindError {
        key: "admin.listen",
        address,
        error,
    })?;
    guarded(&settings.admin, &admin)?;
    Ok((sockets, admin))
}

/// The admin listener before all others, for the probes of a start; None where its address is in use,
/// which [`Bound::open`] reports once the data directory is known to be free.
///
/// # Errors
/// [`StartError::TokenMissing`]
pub(super) fn open_admin(
    settings: &settings::Admin,
    inherited: &mut Inherited,
) -> Result<Option<net::TcpListener>, StartError> {
    let address = settings.listen;
    let open = inherited.tcp("admin", address);
    let open = open.or_else(|| net::TcpListener::bind(address).ok());
    if let Some(open) = &open {
        guarded(settings, open)?;
    }
    Ok(open)
}

/// Off loopback the admin API needs a token or a client certificate. The socket decides, not
/// `admin.listen`: it may be inherited.
fn guarded(admin: &settings::Admin, listener: &net::TcpListener) -> Result<(), StartError> {
    let address = listener.local_addr().map_err(StartError::Sockets)?;
    let among_ourselves = address.ip().to_canonical().is_loopback();
    if among_ourselves || admin.token_file.is_some() || admin.is_mutual() {
        Ok(())
    } else {
        Err(StartError::TokenMissing(address))
    }
}

/// The listening sockets once more, for a process that takes over.
///
/// # Errors
/// Where one cannot be had twice (no file descriptor is left). The process that takes over binds
/// while this one still listens, so it could not start without it: then none is offered.
pub(super) fn offered(
    sockets: &Sockets,
    admin: &net::TcpListener,
) -> io::Result<Vec<(&'static str, OwnedFd)>> {
    let tcp = |socket: &net::TcpListener| socket.try_clone().map(OwnedFd::from);
    let udp = |socket: &net::UdpSocket| socket.try_clone().map(OwnedFd::from);
    let mut all = vec![("http", tcp(&sockets.http)?), ("admin", tcp(admin)?)];
    if let Some(https) = &sockets.https {
        all.push(("https", tcp(https)?));
    }
    if let Some(quic) = &sockets.quic {
        all.push(("quic", udp(quic)?));
    }
    Ok(all)
}

pub(super) fn watched(listener: net::TcpListener) -> Result<(TcpListener, SocketAddr), StartError> {
    let watch = || {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, address))
    };
    watch().map_err(StartError::Sockets)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn an_admin_socket_off_loopback_needs_a_token_whatever_the_settings_say_of_its_address() {
        let mut admin = Settings::default().admin;
        assert!(admin.listen.ip().is_loopback());
        let everywhere = net::TcpListener::bind("0.0.0.0:0").unwrap();
        let here = net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(guarded(&admin, &here).is_ok());
        let refused = guarded(&admin, &everywhere).unwrap_err().to_string();
        assert!(refused.contains("0.0.0.0") && refused.contains("token_file"));
        admin.token_file = Some(PathBuf::from("admin.token"));
        assert!(guarded(&admin, &everywhere).is_ok());
    }
}
