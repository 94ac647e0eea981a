//! `[edge.tls]`: the certificates of `edge.https`.

use std::path::PathBuf;

use super::Acme;
use crate::document::{Reason, Section};
use crate::settings::declare::When::Restart;
use crate::settings::declare::{Optional, Part as _, key, same_table, section, table};
use crate::settings::kind::{HOUR, Kind, MINUTE, SECOND, duration, path};

section! {
    /// `[edge.tls]`
    pub struct Tls {
        /// The pair for clients that name no host or an unknown one; None: a self-signed pair.
        pair: Option<CertificateFiles> = None => same_table(),

        /// Further pairs, `{ cert = "b.pem", key = "b-key.pem" }`, each for the hosts that its
        /// certificate names.
        certificates: Vec<CertificateFiles> = Vec::new()
            => key("edge.tls.certificates", Restart, certificates()),

        /// How long a TLS handshake may take, and after it an HTTP/3 client to allow our streams.
        handshake_timeout_ms: u64 = 10 * SECOND
            => key("edge.tls.handshake_timeout", Restart, duration(100..=MINUTE)),

        /// How often the files are read. Changed files are used without a restart; invalid ones
        /// change nothing.
        reload_interval_ms: u64 = 10 * SECOND
            => key("edge.tls.reload_interval", Restart, duration(100..=HOUR)),

        /// `[edge.tls.acme]`
        acme: Acme = Acme::default() => table("acme"),
    }
}

section! {
    /// A certificate chain and its key, both PEM.
    #[derive(Eq)]
    pub struct CertificateFiles {
        /// Certificate chain of `https`, PEM, the host's own certificate first. Without it a
        /// self-signed pair is made in `data_dir`, which no browser trusts.
        cert: PathBuf = PathBuf::new()
            => key("edge.tls.cert", Restart, path()).unset(r#""cert.pem""#),

        /// Private key of `edge.tls.cert`, PEM.
        key: PathBuf = PathBuf::new() => key("edge.tls.key", Restart, path()).unset(r#""key.pem""#),
    }
}

impl CertificateFiles {
    fn has_cert(&self) -> bool {
        !self.cert.as_os_str().is_empty()
    }

    fn has_key(&self) -> bool {
        !self.key.as_os_str().is_empty()
    }
}

impl Optional for CertificateFiles {
    fn whole(self, section: &Section<'_>) -> Option<Self> {
        let (given, needs, remedy) = match (self.has_cert(), self.has_key()) {
            (true, true) => return Some(self),
            (false, false) => return None,
            (true, false) => ("cert", "edge.tls.key", "add key = \"key.pem\""),
            (false, true) => ("key", "edge.tls.cert", "add cert = \"cert.pem\""),
        };
        section.fault(given, Reason::Needs { needs, remedy });
        None
    }
}

/// A list of tables with the keys of a pair each.
fn certificates() -> Kind<Vec<CertificateFiles>> {
    Kind::new(
        |at| {
            let mut pairs = Vec::new();
            for table in at.section.sections(at.name)? {
                let _ = table.require("cert", "cert = \"cert.pem\"");
                let _ = table.require("key", "key = \"key.pem\"");
                let mut pair = CertificateFiles::default();
                pair.read(&table, at.base);
                pairs.extend(Some(pair).filter(|pair| pair.has_cert() && pair.has_key()));
                table.finish();
            }
            Some(pairs)
        },
        |pairs: &Vec<CertificateFiles>| {
            let table = |pair: &CertificateFiles| {
                format!("{{ cert = {:?}, key = {:?} }}", pair.cert, pair.key)
            };
            let tables: Vec<String> = pairs.iter().map(table).collect();
            format!("[{}]", tables.join(", "))
        },
    )
}
