//! Clients over TLS and QUIC that trust exactly one certificate.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use h3::error::{ConnectionError, StreamError};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::edge::fake::Served;

pub(super) type Answered = Response<Bytes>;

/// TLS that trusts this certificate and offers these protocols.
pub(super) fn config(certificate: CertificateDer<'static>, alpn: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

/// A client that looks at no certificate, as an authority that wants a proof.
pub(super) fn trusting_anybody(alpn: &[&[u8]]) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// A connection after its handshake.
pub(super) async fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name).unwrap();
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
}

/// One request over TLS in whichever version the server chose, on a connection of its own.
pub(super) async fn ask_tls(
    served: &Served,
    alpn: &[&[u8]],
    request: Request<Full<Bytes>>,
) -> Answered {
    let config = Arc::new(config(served.certificate(), alpn));
    let address = served.secure.unwrap();
    let stream = connect(address, &config, "localhost").await.unwrap();
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    let response = if http2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
                .await
                .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// A QUIC connection on which nothing is said, kept open.
pub(super) async fn quic_to(
    served: &Served,
    mut transport: quinn::TransportConfig,
) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
    let config = config(served.certificate(), &[b"h3"]);
    let config = QuicClientConfig::try_from(config).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(config));
    transport.keep_alive_interval(Some(std::time::Duration::from_millis(20)));
    config.transport_config(Arc::new(transport));
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    endpoint.set_default_client_config(config);
    let connecting = endpoint.connect(served.secure.unwrap(), "localhost");
    let quic = connecting.unwrap().await?;
    Ok((endpoint, quic))
}

/// One HTTP/3 connection.
pub(super) struct Http3 {
    pub(super) endpoint: quinn::Endpoint,
    pub(super) quic: quinn::Connection,
    pub(super) requests: SendRequest<h3_quinn::OpenStreams, Bytes>,
    /// Ends with the connection.
    pub(super) driver: JoinHandle<ConnectionError>,
    /// Once told so, it keeps the connection and hears nothing more that concerns all of it.
    pub(super) hold: Arc<Notify>,
}

impl Http3 {
    pub(super) async fn to(served: &Served) -> Self {
        Self::try_to(served).await.unwrap()
    }

    pub(super) async fn try_to(served: &Served) -> Result<Self, quinn::ConnectionError> {
        let (endpoint, quic) = quic_to(served, quinn::TransportConfig::default()).await?;
        let (mut connection, requests) = h3::client::new(h3_quinn::Connection::new(quic.clone()))
            .await
            .unwrap();
        let hold = Arc::new(Notify::new());
        let held = Arc::clone(&hold);
        let driver = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = held.notified() => std::future::pending().await,
                ended = std::future::poll_fn(|context| connection.poll_close(context)) => ended,
            }
        });
        Ok(Self {
            endpoint,
            quic,
            requests,
            driver,
            hold,
        })
    }

    pub(super) async fn ask(&mut self, request: Request<()>, body: &[u8]) -> Answered {
        self.try_ask(request, body).await.unwrap()
    }

    pub(super) async fn try_ask(
        &mut self,
        request: Request<()>,
        body: &[u8],
    ) -> Result<Answered, StreamError> {
        let mut stream = self.requests.send_request(request).await?;
        if !body.is_empty() {
            // The answer may come before all of it was wanted.
            let _ = stream.send_data(Bytes::copy_from_slice(body)).await;
        }
        let _ = stream.finish().await;
        let (parts, ()) = stream.recv_response().await?.into_parts();
        let mut received = Vec::new();
        while let Some(mut data) = stream.recv_data().await? {
            received.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
        Ok(Response::from_parts(parts, received.into()))
    }

    /// Goes on from another port, as a phone does that leaves the Wi-Fi.
    pub(super) fn move_elsewhere(&self) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        self.endpoint.rebind(socket).unwrap();
    }
}
