//! TLS of the admin listener, with client certificates where `admin.tls.client_ca` names who signs
//! them. The edge's certificates are in `edge/tls`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::settings::AdminTls;

/// A file is missing or invalid.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No PEM of the wanted kind.
    #[error("{}: {source}; give certificates and keys as PEM", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// What it holds is refused.
    #[error("{}: {source}; do certificate and key belong together?", path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// It cannot judge clients.
    #[error("{}: {source}; give the certificate of who signs the clients', as PEM", path.display())]
    ClientCa {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
}

/// What turns an accepted connection into a TLS one.
///
/// # Errors
/// [`TlsError`]
pub fn acceptor(settings: &AdminTls) -> Result<TlsAcceptor, TlsError> {
    let clients: Arc<dyn ClientCertVerifier> = match &settings.client_ca {
        Some(path) => WebPkiClientVerifier::builder_with_provider(roots(path)?.into(), provider())
            .build()
            .map_err(|source| TlsError::ClientCa {
                path: path.clone(),
                source,
            })?,
        None => Arc::new(NoClientAuth),
    };
    let refused = refused(&settings.cert);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(&refused)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain(&settings.cert)?, key(&settings.key)?)
        .map_err(&refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The other side: trusts what `ca` signed, and shows `own` (certificate, key) where asked.
///
/// # Errors
/// [`TlsError`]
pub fn client(ca: &Path, own: Option<(&Path, &Path)>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused(ca))?
        .with_root_certificates(roots(ca)?);
    match own {
        Some((cert, of)) => builder
            .with_client_auth_cert(chain(cert)?, key(of)?)
            .map_err(refused(cert)),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate).map_err(refused(path))?;
    }
    Ok(roots)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(unreadable(path))
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(unreadable(path))
}

fn unreadable(path: &Path) -> impl Fn(pem::Error) -> TlsError {
    let path = path.to_owned();
    move |source| TlsError::Unreadable {
        path: path.clone(),
        source,
    }
}

fn refused(path: &Path) -> impl Fn(rustls::Error) -> TlsError {
    let path = path.to_owned();
    move |source| TlsError::Refused {
        path: path.clone(),
        source,
    }
}
