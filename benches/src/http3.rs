//! HTTP/3 for the load: many streams on one QUIC connection, each with one request at a time. Every
//! connection has a socket of its own, as clients have.

use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use http::{Request, StatusCode};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::ClientConfig;

/// One of the streams that a connection has open at a time.
#[derive(Clone)]
pub struct Stream {
    sender: SendRequest<h3_quinn::OpenStreams, Bytes>,
    /// Lives as long as the connection.
    _endpoint: quinn::Endpoint,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Stream {
    /// Opens a connection; clones share it. It ends with the last of them.
    ///
    /// # Errors
    /// Those of the system and of the protocol.
    pub async fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self> {
        let config = QuicClientConfig::try_from(Arc::clone(tls)).map_err(failed)?;
        let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
        let name = address.ip().to_string();
        let quic = endpoint.connect(address, &name).map_err(failed)?;
        let quic = h3_quinn::Connection::new(quic.await.map_err(failed)?);
        let (mut connection, sender) = h3::client::new(quic).await.map_err(failed)?;
        // How it ended is seen by the requests on it.
        tokio::spawn(async move { poll_fn(|context| connection.poll_close(context)).await });
        Ok(Self {
            sender,
            _endpoint: endpoint,
        })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// Those of the protocol; `InvalidData` for any answer but a 200.
    pub async fn exchange(&mut self, head: Request<()>, body: Bytes) -> Result<()> {
        let mut stream = self.sender.send_request(head).await.map_err(failed)?;
        stream.send_data(body).await.map_err(failed)?;
        stream.finish().await.map_err(failed)?;
        let status = stream.recv_response().await.map_err(failed)?.status();
        while let Some(mut data) = stream.recv_data().await.map_err(failed)? {
            data.advance(data.remaining());
        }
        if status == StatusCode::OK {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::InvalidData, status.to_string()))
        }
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::ConnectionAborted, error)
}
