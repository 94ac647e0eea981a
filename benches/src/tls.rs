//! TLS for the load: trusts the certificate that the gateway made for itself, and no other.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Trusts the certificate in this PEM file and offers one protocol.
///
/// # Errors
/// Those of the system; `InvalidData` where the file holds no certificate.
pub fn config(certificate: &Path, alpn: &[u8]) -> Result<ClientConfig> {
    let invalid =
        |error: &dyn std::error::Error| Error::new(ErrorKind::InvalidData, error.to_string());
    let certificate =
        CertificateDer::from_pem_file(certificate).map_err(|error| invalid(&error))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|error| invalid(&error))?;
    let provider = rustls::crypto::ring::default_provider();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

/// A connection after its handshake.
///
/// # Errors
/// Those of the system and of TLS.
pub async fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
}
