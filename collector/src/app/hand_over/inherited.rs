//! Sockets that were open before this process: each under the name of the listener it is for.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;

use crate::document::Environment;
use crate::settings;

/// Whose sockets have names: the listeners.
pub(super) const NAMES: [&str; 4] = ["http", "https", "quic", "admin"];

/// Sockets by listener, not yet in use.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(String, OwnedFd)>,
    /// Whether the one who made them decides on their addresses, not the settings.
    given: bool,
}

/// A service manager's sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// A name that is no listener's.
    #[error(
        "the service manager passes a socket named {name:?}; write FileDescriptorName= http, https, quic or admin in its unit"
    )]
    Name {
        /// As passed.
        name: String,
    },
    /// No listener would accept from it: its clients would connect and hang.
    #[error(
        "the service manager passes a socket named {name:?} that nothing would serve: {remedy}"
    )]
    Unserved {
        /// As passed.
        name: String,
        /// What to write.
        remedy: &'static str,
    },
    /// Not the kind of socket that its name says.
    #[error("the socket that is passed as {name:?} cannot be used: {error}")]
    Kind {
        /// Its name.
        name: String,
        /// What the system says.
        error: io::Error,
    },
}

impl Inherited {
    /// Sockets of a process before, each for the address that it has.
    pub(super) fn from_predecessor(sockets: Vec<(String, OwnedFd)>) -> Self {
        Self {
            sockets,
            given: false,
        }
    }

    /// The sockets that a service manager passes (`LISTEN_FDS`, `LISTEN_FDNAMES`,
    /// sd_listen_fds(3)); none where there is none. Call it once: it takes them.
    ///
    /// # Errors
    /// [`InheritError`]
    pub fn from_service_manager(environment: &Environment) -> Result<Self, InheritError> {
        let mut passed = ListenFd::from_env();
        let names = environment.get("LISTEN_FDNAMES").map_or("", String::as_str);
        let mut names = names.split(':');
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            // Without names there is one socket at most that goes without saying.
            let name = names.next().filter(|name| !name.is_empty());
            let name = name.unwrap_or("http").to_owned();
            let kind = |error| InheritError::Kind {
                name: name.clone(),
                error,
            };
            let socket: Option<OwnedFd> = match name.as_str() {
                "http" | "https" | "admin" => {
                    let tcp = passed.take_tcp_listener(index).map_err(kind)?;
                    tcp.map(OwnedFd::from)
                }
                "quic" => {
                    let udp = passed.take_udp_socket(index).map_err(kind)?;
                    udp.map(OwnedFd::from)
                }
                _ => return Err(InheritError::Name { name }),
            };
            sockets.extend(socket.map(|socket| (name, socket)));
        }
        Ok(Self {
            sockets,
            given: true,
        })
    }

    /// The TCP listener of that name, where it is there and fits `wanted`.
    pub(in crate::app) fn tcp(&mut self, name: &str, wanted: SocketAddr) -> Option<TcpListener> {
        let listener = TcpListener::from(self.take(name, SocketType::STREAM)?);
        let address = listener.local_addr().ok()?;
        self.fits(address, wanted).then_some(listener)
    }

    /// The UDP socket of that name, where it is there and fits `wanted`.
    pub(in crate::app) fn udp(&mut self, name: &str, wanted: SocketAddr) -> Option<UdpSocket> {
        let socket = UdpSocket::from(self.take(name, SocketType::DGRAM)?);
        let address = socket.local_addr().ok()?;
        self.fits(address, wanted).then_some(socket)
    }

    /// Refuses a service manager's socket that no listener took. A process before may have had
    /// listeners that the settings no longer name.
    pub(in crate::app) fn all_served(&self, settings: &settings::Edge) -> Result<(), InheritError> {
        let Some((name, _)) = self.sockets.first().filter(|_| self.given) else {
            return Ok(());
        };
        let remedy = match name.as_str() {
            "https" | "quic" if settings.https.is_none() => {
                "set edge.https, or disable the socket unit"
            }
            "quic" if !settings.http3 => "set edge.http3 = true, or disable the socket unit",
            _ => {
                "it is the second of that name. One unit passes one socket: leave it one \
                 ListenStream= (or ListenDatagram=), and write FileDescriptorName= http, https, \
                 quic or admin in it"
            }
        };
        Err(InheritError::Unserved {
            name: name.clone(),
            remedy,
        })
    }

    fn take(&mut self, name: &str, kind: SocketType) -> Option<OwnedFd> {
        let index = self.sockets.iter().position(|(own, _)| own == name)?;
        let (_, socket) = self.sockets.swap_remove(index);
        (socket_type(&socket).ok()? == kind).then_some(socket)
    }

    fn fits(&self, address: SocketAddr, wanted: SocketAddr) -> bool {
        let port = wanted.port() == 0 || wanted.port() == address.port();
        self.given || (port && wanted.ip() == address.ip())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn handed(given: bool) -> (Inherited, SocketAddr) {
        let http = TcpListener::bind(loopback(0)).unwrap();
        let quic = UdpSocket::bind(loopback(0)).unwrap();
        let address = http.local_addr().unwrap();
        let sockets = vec![
            ("http".to_owned(), OwnedFd::from(http)),
            ("quic".to_owned(), OwnedFd::from(quic)),
        ];
        (Inherited { sockets, given }, address)
    }

    #[test]
    fn a_socket_is_taken_by_its_name_once_and_only_for_its_address() {
        let (mut inherited, address) = handed(false);
        assert!(inherited.tcp("https", loopback(0)).is_none());
        let taken = inherited.tcp("http", loopback(0)).unwrap();
        assert_eq!(taken.local_addr().unwrap(), address);
        assert!(inherited.tcp("http", loopback(0)).is_none());
        let (mut inherited, address) = handed(false);
        let other = loopback(address.port().wrapping_add(1));
        assert!(inherited.tcp("http", other).is_none());
    }

    #[test]
    fn a_service_manager_decides_on_the_address() {
        let (mut inherited, address) = handed(true);
        let other = loopback(address.port().wrapping_add(1));
        assert!(inherited.tcp("http", other).is_some());
    }

    #[test]
    fn a_service_managers_socket_that_nothing_serves_is_refused_with_its_name() {
        let (mut inherited, _) = handed(true);
        let edge = settings::Settings::default().edge;
        inherited.tcp("http", loopback(0)).unwrap();
        let refused = inherited.all_served(&edge).unwrap_err().to_string();
        assert!(refused.contains("\"quic\"") && refused.contains("edge.https"));
        inherited.udp("quic", loopback(0)).unwrap();
        assert!(inherited.all_served(&edge).is_ok());

        let (mut twice, _) = handed(true);
        twice.sockets[1].0 = "http".to_owned();
        twice.tcp("http", loopback(0)).unwrap();
        let refused = twice.all_served(&edge).unwrap_err().to_string();
        assert!(refused.contains("second") && refused.contains("FileDescriptorName="));

        let (former, _) = handed(false);
        assert!(former.all_served(&edge).is_ok(), "settings changed");
    }

    #[test]
    fn a_socket_of_another_kind_is_not_taken() {
        let (mut inherited, _) = handed(true);
        assert!(inherited.tcp("quic", loopback(0)).is_none());
        let (mut inherited, _) = handed(true);
        assert!(inherited.udp("quic", loopback(0)).is_some());
    }
}
