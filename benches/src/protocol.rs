//! The ways to the gateway: three versions of HTTP, with TLS and without. One request path for the
//! load over all of them.

use std::io::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::connection::Connection;
use crate::workload::Request;
use crate::{http2, http3, tls};

/// How requests travel.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/1.1 over TLS
    Http1Tls(Arc<ClientConfig>),
    /// HTTP/2, with prior knowledge
    Http2,
    /// HTTP/2 over TLS
    Http2Tls(Arc<ClientConfig>),
    /// HTTP/3
    Http3(Arc<ClientConfig>),
}

/// Where one request at a time is sent.
#[derive(Debug)]
pub enum Lane {
    /// A connection.
    Http1(Connection),
    /// A connection.
    Http1Tls(Box<Connection<TlsStream<TcpStream>>>),
    /// A stream, and the scheme of its requests.
    Http2(http2::Stream, &'static str),
    /// A stream.
    Http3(http3::Stream),
}

impl Protocol {
    /// HTTP/1.1 over TLS with the certificate in this file.
    ///
    /// # Errors
    /// Those of [`tls::config`]; so with the others.
    pub fn http1_tls(certificate: &Path) -> Result<Self> {
        Ok(Self::Http1Tls(Arc::new(tls::config(
            certificate,
            b"http/1.1",
        )?)))
    }

    /// HTTP/2 over TLS with the certificate in this file.
    ///
    /// # Errors
    /// Those of [`tls::config`]
    pub fn http2_tls(certificate: &Path) -> Result<Self> {
        Ok(Self::Http2Tls(Arc::new(tls::config(certificate, b"h2")?)))
    }

    /// HTTP/3 with the certificate in this file.
    ///
    /// # Errors
    /// Those of [`tls::config`]
    pub fn http3(certificate: &Path) -> Result<Self> {
        Ok(Self::Http3(Arc::new(tls::config(certificate, b"h3")?)))
    }

    /// Opens `count` lanes; of HTTP/2 and HTTP/3 `streams` share a connection.
    ///
    /// # Errors
    /// Those of the system and of the protocol.
    pub async fn open(
        &self,
        address: SocketAddr,
        count: usize,
        streams: usize,
    ) -> Result<Vec<Lane>> {
        let mut lanes = Vec::with_capacity(count);
        while lanes.len() < count {
            match self {
                Self::Http1 => lanes.push(Lane::Http1(Connection::open(address).await?)),
                Self::Http1Tls(config) => {
                    let stream = tls::connect(address, config).await?;
                    lanes.push(Lane::Http1Tls(Box::new(Connection::over(stream))));
                }
                Self::Http2 => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    let stream = http2::Stream::open(stream).await?;
                    lanes.extend((0..streams).map(|_| Lane::Http2(stream.clone(), "http")));
                }
                Self::Http2Tls(config) => {
                    let stream = tls::connect(address, config).await?;
                    let stream = http2::Stream::open(stream).await?;
                    lanes.extend((0..streams).map(|_| Lane::Http2(stream.clone(), "https")));
                }
                Self::Http3(config) => {
                    let stream = http3::Stream::open(address, config).await?;
                    lanes.extend((0..streams).map(|_| Lane::Http3(stream.clone())));
                }
            }
        }
        lanes.truncate(count);
        Ok(lanes)
    }
}

impl Lane {
    /// Sends a request with fresh message ids and reads its answer.
    ///
    /// # Errors
    /// Those of the system and of the protocol; `InvalidData` for any answer but a 200.
    pub async fn exchange(&mut self, request: &mut Request, serial: &mut u64) -> Result<()> {
        match self {
            Self::Http1(connection) => {
                connection.exchange(request.stamped(serial)).await?;
            }
            Self::Http1Tls(connection) => {
                connection.exchange(request.stamped(serial)).await?;
            }
            Self::Http2(stream, scheme) => {
                let (head, body) = request.message(scheme, serial)?;
                stream.exchange(head, body).await?;
            }
            Self::Http3(stream) => {
                let (head, body) = request.message("https", serial)?;
                stream.exchange(head, body).await?;
            }
        }
        Ok(())
    }
}
