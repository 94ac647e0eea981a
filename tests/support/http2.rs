//! An HTTP/2 client that shares one connection among its requests and knows what GOAWAY means.

use bytes::Bytes;
use h2::Reason;
use h2::client::{self, SendRequest};
use hyper::Request;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::{Answer, HttpError};
use crate::lane::NoAnswer;

/// One connection.
#[derive(Clone, Debug)]
pub struct Http2 {
    sender: SendRequest<Bytes>,
    origin: String,
}

impl Http2 {
    /// Shakes hands on a stream; `origin` is what requests are for, as `https://localhost`.
    ///
    /// # Errors
    /// Whatever the network says.
    pub async fn open<S>(stream: S, origin: String) -> Result<Self, HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = client::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Self { sender, origin })
    }

    /// POSTs JSON; the whole answer.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub async fn post(&self, path: &str, body: Bytes) -> Result<Answer, NoAnswer> {
        let request = Request::post(format!("{}{path}", self.origin))
            .header("content-type", "application/json")
            .body(())
            .map_err(|error| NoAnswer::Broken(error.into()))?;
        // Nothing has left yet.
        let turned_away = |_: h2::Error| NoAnswer::TurnedAway;
        let mut sender = self.sender.clone().ready().await.map_err(turned_away)?;
        let (response, mut stream) = sender.send_request(request, false).map_err(turned_away)?;
        // Where this fails, the answer says why.
        let _ = stream.send_data(body, true);
        let (parts, mut incoming) = response.await.map_err(meaning)?.into_parts();
        let mut body = Vec::new();
        while let Some(data) = incoming.data().await {
            let data = data.map_err(meaning)?;
            let _ = incoming.flow_control().release_capacity(data.len());
            body.extend_from_slice(&data);
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.into(),
        })
    }
}

/// A stream above the last one of a GOAWAY, or one that was refused, was not processed (RFC 9113,
/// sections 6.8 and 8.7).
fn meaning(error: h2::Error) -> NoAnswer {
    let said = error.is_remote().then(|| error.reason()).flatten();
    let going = error.is_go_away() && said == Some(Reason::NO_ERROR);
    let refused = error.is_reset() && said == Some(Reason::REFUSED_STREAM);
    if going || refused {
        NoAnswer::TurnedAway
    } else {
        NoAnswer::Broken(error.into())
    }
}
