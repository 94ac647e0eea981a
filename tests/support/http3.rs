//! An HTTP/3 client that shares one connection among its requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use h3::client::{self, SendRequest};
use h3::error::{Code, StreamError};
use hyper::Request;
use quinn::Endpoint;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::ClientConfig;

use crate::http::{Answer, HttpError};
use crate::lane::NoAnswer;

/// One connection.
#[derive(Clone)]
pub struct Http3 {
    requests: SendRequest<h3_quinn::OpenStreams, Bytes>,
    /// Goes with its last user.
    _endpoint: Endpoint,
}

impl std::fmt::Debug for Http3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http3").finish_non_exhaustive()
    }
}

impl Http3 {
    /// Connects to `localhost` at `address`.
    ///
    /// # Errors
    /// Whatever the network says.
    pub async fn open(address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Self, HttpError> {
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        endpoint.set_default_client_config(config);
        let quic = endpoint.connect(address, "localhost")?.await?;
        let (mut connection, requests) = client::new(h3_quinn::Connection::new(quic)).await?;
        tokio::spawn(async move {
            std::future::poll_fn(|context| connection.poll_close(context)).await
        });
        Ok(Self {
            requests,
            _endpoint: endpoint,
        })
    }

    /// POSTs JSON; the whole answer.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub async fn post(&self, path: &str, body: Bytes) -> Result<Answer, NoAnswer> {
        let request = Request::post(format!("https://localhost{path}"))
            .header("content-type", "application/json")
            .body(())
            .map_err(|error| NoAnswer::Broken(error.into()))?;
        // Nothing has left where there is no stream for it.
        let sent = self.requests.clone().send_request(request).await;
        let mut stream = sent.map_err(|_| NoAnswer::TurnedAway)?;
        // Where these fail, the answer says why.
        let _ = stream.send_data(body).await;
        let _ = stream.finish().await;
        let (parts, ()) = stream.recv_response().await.map_err(meaning)?.into_parts();
        let mut body = Vec::new();
        while let Some(mut data) = stream.recv_data().await.map_err(meaning)? {
            body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.into(),
        })
    }
}

/// A request that was rejected, or came after GOAWAY, was not processed (RFC 9114, sections 4.1.1
/// and 5.2).
fn meaning(error: StreamError) -> NoAnswer {
    let rejected = matches!(
        &error,
        StreamError::RemoteTerminate { code, .. } if *code == Code::H3_REQUEST_REJECTED
    );
    if rejected || matches!(error, StreamError::RemoteClosing { .. }) {
        NoAnswer::TurnedAway
    } else {
        NoAnswer::Broken(error.into())
    }
}
