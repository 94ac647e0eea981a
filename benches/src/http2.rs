//! HTTP/2 for the load: many streams on one connection, each with one request at a time.

use std::io::{Error, ErrorKind, Result};

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

/// One of the streams that a connection has open at a time.
#[derive(Clone, Debug)]
pub struct Stream {
    sender: SendRequest<Bytes>,
}

impl Stream {
    /// Opens a connection, with prior knowledge; clones share it. It ends with the last of them.
    ///
    /// # Errors
    /// Those of the system and of the protocol.
    pub async fn open<S>(stream: S) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = client::handshake(stream).await.map_err(failed)?;
        // How it ended is seen by the requests on it.
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// Those of the protocol; `InvalidData` for any answer but a 200.
    pub async fn exchange(&mut self, head: Request<()>, body: Bytes) -> Result<()> {
        let mut sender = self.sender.clone().ready().await.map_err(failed)?;
        let (response, mut sending) = sender.send_request(head, false).map_err(failed)?;
        sending.send_data(body, true).map_err(failed)?;
        let response = response.await.map_err(failed)?;
        let status = response.status();
        let mut body = response.into_body();
        while let Some(data) = body.data().await {
            let bytes = data.map_err(failed)?.len();
            body.flow_control()
                .release_capacity(bytes)
                .map_err(failed)?;
        }
        if status == StatusCode::OK {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::InvalidData, status.to_string()))
        }
    }
}

fn failed(error: h2::Error) -> Error {
    Error::new(ErrorKind::ConnectionAborted, error)
}
