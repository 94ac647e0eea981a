//! HTTP/1.1 over TLS for tests: a client that trusts one authority and nobody else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::{self, HttpError};

/// Trusts the certificates of `pem` alone, and offers these protocols.
///
/// # Panics
/// Where it holds none.
#[must_use]
pub fn trusting(pem: &str, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.expect("a certificate, PEM");
        roots.add(certificate).expect("a certificate that can sign");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A resumed session shows the certificate of its first handshake.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// Shakes hands with the host called `name`.
///
/// # Errors
/// Whatever the network or TLS says.
///
/// # Panics
/// Where `name` is none.
pub async fn shake_hands(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a host name");
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
}

/// A keep-alive connection over TLS.
#[derive(Debug)]
pub struct Connection {
    http: http::Connection,
    certificate: CertificateDer<'static>,
}

impl Connection {
    /// Connects to the host called `name`, whose certificate is checked.
    ///
    /// # Errors
    /// Whatever the network or TLS says.
    pub async fn open(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> Result<Self, HttpError> {
        let stream = shake_hands(address, config, name).await?;
        let shown = stream.get_ref().1.peer_certificates();
        let certificate = shown.and_then(<[_]>::first).cloned();
        Ok(Self {
            certificate: certificate.ok_or("no certificate was shown")?,
            http: http::Connection::over(stream, name.to_owned()).await?,
        })
    }

    /// What the server showed.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// One request; the whole answer.
    ///
    /// # Errors
    /// Whatever the network says.
    pub async fn send(
        &mut self,
        method: hyper::Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Result<http::Answer, HttpError> {
        self.http.send(method, path, headers, body).await
    }
}
