//! TLS for TCP and QUIC: one resolver of certificates behind both, so that a changed file reaches
//! every new handshake at once. Which certificates there are is [`certificates`]' matter.

mod certificates;
mod self_signed;
mod acme;
mod private_file;
mod metrics;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

pub(super) use acme::ALPN as PROVING;
pub use acme::{Acme, AcmeError, obtained};
pub use certificates::{CertificateError, Certificates, Fresh};
pub use metrics::TlsMetrics;

use crate::clock::Clock;
use crate::liveness::spawn;
use crate::settings;
use crate::settings::file::Unusable;
use acme::Challenges;

/// TLS as the listeners use it.
#[derive(Clone)]
pub struct Tls {
    certificates: Arc<Certificates>,
    acme: Option<Arc<Acme>>,
    tcp: Arc<ServerConfig>,
    quic: Arc<QuicServerConfig>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The authority's own roots.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// The library refused what we ask of it.
    #[error("cannot set up TLS: {0}")]
    Library(#[from] rustls::Error),
}

impl Tls {
    /// Reads the certificates; makes a self-signed pair below `data_dir` where none is configured.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn open(
        settings: &settings::Tls,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        metrics: TlsMetrics,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let own = Certificates::open(settings, data_dir, Arc::clone(&clock), metrics.clone())?;
        let certificates = Arc::new(own);
        let own = Arc::clone(&certificates);
        let acme = Acme::open(&settings.acme, data_dir, own, clock, metrics)?.map(Arc::new);
        let resolver = Arc::new(Resolver {
            certificates: Arc::clone(&certificates),
            challenges: acme.as_ref().map(|acme| Arc::clone(acme.challenges())),
        });
        let tickets = ring::Ticketer::new()?;
        let config = |versions, alpn: &[&[u8]]| {
            let (provider, tickets) = (Arc::clone(&provider), Arc::clone(&tickets));
            configured(provider, tickets, &resolver, versions, alpn)
        };
        let spoken: &[&[u8]] = match acme {
            None => &[b"h2", b"http/1.1"],
            Some(_) => &[b"h2", b"http/1.1", PROVING],
        };
        let tcp = config(rustls::DEFAULT_VERSIONS, spoken)?;
        let quic = config(&[&rustls::version::TLS13], &[b"h3"])?;
        let quic = QuicServerConfig::try_from(quic)
            .map_err(|_| rustls::Error::General("no cipher suite for QUIC".to_owned()))?;
        Ok(Self {
            tcp: Arc::new(tcp),
            quic: Arc::new(quic),
            certificates,
            acme,
        })
    }

    /// The certificates in use; they can be read again at any time.
    #[must_use]
    pub const fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Who gets a certificate by ACME, where that is on.
    #[must_use]
    pub const fn acme(&self) -> Option<&Arc<Acme>> {
        self.acme.as_ref()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.tcp))
    }

    pub(super) fn quic(&self) -> Arc<QuicServerConfig> {
        Arc::clone(&self.quic)
    }
}

/// Reads the files of every configured pair, and the root of a private authority; what is wrong with
/// any of them.
#[must_use]
pub fn unusable(settings: &settings::Tls) -> Vec<Unusable> {
    let first = settings.pair.iter().map(|pair| ("edge.tls.cert", pair));
    let further = settings.certificates.iter();
    let further = further.map(|pair| ("edge.tls.certificates", pair));
    let pairs = first.chain(further).filter_map(|(key, pair)| {
        let error = certificates::load(pair).err()?.to_string();
        Some(Unusable { key, error })
    });
    let root = settings.acme.root.as_deref();
    let root = root.filter(|_| !settings.acme.domains.is_empty());
    let root = root.and_then(|path| {
        let error = acme::roots(path).err()?.to_string();
        let key = "edge.tls.acme.root";
        Some(Unusable { key, error })
    });
    pairs.chain(root).collect()
}

/// Finds the certificate for a client, or for an authority that wants a proof.
#[derive(Debug)]
struct Resolver {
    certificates: Arc<Certificates>,
    challenges: Option<Arc<Challenges>>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if acme::is_asked_by(&hello) {
            return self.challenges.as_ref()?.answer(&hello);
        }
        self.certificates.named(hello.server_name())
    }
}

/// `max_early_data_size` stays 0: see `listener::quic` for why there is no 0-RTT.
fn configured(
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
    resolver: &Arc<Resolver>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> Result<ServerConfig, rustls::Error> {
    let resolver = Arc::clone(resolver);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    // A client that comes back resumes without our keeping anything for it.
    config.ticketer = tickets;
    Ok(config)
}

/// Looks at the files every `interval_ms` for as long as it is polled.
pub async fn watch(certificates: Arc<Certificates>, interval_ms: u64) {
    let mut ticks = interval(Duration::from_millis(interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let certificates = Arc::clone(&certificates);
        // The files may be on a slow disk. What went wrong is logged and counted there.
        let _stopping = spawn::blocking(move || certificates.refresh()).await;
    }
}
