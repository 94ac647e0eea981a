//! `[admin]`: the listener of operators and probes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::declare::When::Restart;
use super::declare::{Optional, key, section, table};
use super::kind::{KIB, MIB, MINUTE, SECOND, address, duration, number, path, size};
use crate::document::{Reason, Section};

section! {
    /// `[admin]`
    pub struct Admin {
        /// Address of health, readiness, metrics and the admin API. Port 0 takes a free port.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9180))
            => key("admin.listen", Restart, address()),

        /// File with the bearer token, at least 16 characters, or with `sha256:` and its SHA-256 in
        /// hex. Required if `listen` is not loopback and clients have no certificates.
        token_file: Option<PathBuf> = None
            => key("admin.token_file", Restart, path().optional()).unset(r#""admin.token""#),

        /// Bytes of a request body of the admin API (a catalog).
        body_bytes_max: usize = 4 << 20
            => key("admin.body_bytes_max", Restart, size(4 * KIB..=64 * MIB)),

        /// Open admin connections. A further one takes the place of the connection that has waited
        /// longest for its client, also for a body; while all are working, it waits. At most half
        /// of them may work at once, eight of these on tests of destinations and one on a reload.
        /// Further requests are answered 429 or 409, so probes always get a connection.
        connections_max: usize = 64 => key("admin.connections_max", Restart, number(1..=10_000)),

        /// How long an admin request may take to arrive, and a client to read its answer.
        timeout_ms: u64 = 30 * SECOND => key("admin.timeout", Restart, duration(100..=10 * MINUTE)),

        /// `[admin.tls]`; None: cleartext.
        tls: Option<AdminTls> = None => table("tls"),
    }
}

section! {
    /// `[admin.tls]`
    pub struct AdminTls {
        /// Certificate chain of the admin listener, PEM. If set, the listener accepts TLS only.
        /// Read at start.
        cert: PathBuf = PathBuf::new()
            => key("admin.tls.cert", Restart, path()).unset(r#""admin-cert.pem""#),

        /// Key of `admin.tls.cert`, PEM.
        key: PathBuf = PathBuf::new()
            => key("admin.tls.key", Restart, path()).unset(r#""admin-key.pem""#),

        /// Certificate that signs the clients' certificates, PEM. If set, clients without such a
        /// certificate get no answer, including probes.
        client_ca: Option<PathBuf> = None
            => key("admin.tls.client_ca", Restart, path().optional())
                .unset(r#""admin-clients.pem""#),
    }
}

impl Optional for AdminTls {
    fn whole(self, section: &Section<'_>) -> Option<Self> {
        let has = |path: &PathBuf| !path.as_os_str().is_empty();
        match (has(&self.cert), has(&self.key)) {
            (true, true) => Some(self),
            (false, false) if self.client_ca.is_none() => None,
            (true, false) => {
                let remedy = "add key = \"admin-key.pem\"";
                section.fault("cert", needs("admin.tls.key", remedy));
                None
            }
            (false, key) => {
                let given = if key { "key" } else { "client_ca" };
                let remedy = "add cert = \"admin-cert.pem\" and key = \"admin-key.pem\"";
                section.fault(given, needs("admin.tls.cert", remedy));
                None
            }
        }
    }
}

impl Admin {
    /// True where every client proves itself by a certificate.
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    /// Checks that a listener which other machines can reach requires a token or a certificate.
    pub(super) fn check(&self, section: &Section<'_>) {
        if !self.listen.ip().is_loopback() && self.token_file.is_none() && !self.is_mutual() {
            let others = "admin.token_file or admin.tls.client_ca where it is not loopback";
            let remedy = "add token_file = \"admin.token\", or listen on 127.0.0.1:9180";
            section.fault("listen", needs(others, remedy));
        }
    }
}

fn needs(needs: &'static str, remedy: &'static str) -> Reason {
    Reason::Needs { needs, remedy }
}
