//! A client of the admin API: one request, one answer, errors that say what to do next.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::admin::control::FaultView;

/// How long one answer may take; a test callback takes up to a minute.
const PATIENCE: Duration = Duration::from_secs(90);
/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// The gateway did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No URL of an admin listener.
    #[error("{url:?} is not an admin address; write one such as http://127.0.0.1:9180")]
    Url {
        /// As given.
        url: String,
    },
    /// Nobody listens there.
    #[error(
        "no gateway answers at {url}: {source}; start one with \"tidegate serve\", or name another with --admin URL"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: std::io::Error,
    },
    /// The answer broke off or did not come.
    #[error("the gateway at {url} did not answer in full; see its log")]
    Broken {
        /// Where.
        url: String,
    },
    /// Something else than the admin API answers there.
    #[error(
        "what answers at {url} is not tidegate's admin listener ({status}); name it with --admin URL"
    )]
    Stranger {
        /// Where.
        url: String,
        /// Its status.
        status: StatusCode,
    },
    /// It wants another token.
    #[error(
        "the gateway wants its admin token; name its file with --token-file FILE, or --config the gateway's settings"
    )]
    Token,
    /// It refused, and said why.
    #[error("{message}")]
    Refused {
        /// In its words.
        message: String,
        /// The mistakes of a catalog.
        faults: Vec<FaultView>,
    },
}

/// A gateway's admin listener.
#[derive(Debug)]
pub struct Client {
    url: String,
    authority: String,
    token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    faults: Vec<FaultView>,
}

impl Client {
    /// The listener at `url`, which is `http://HOST:PORT`.
    ///
    /// # Errors
    /// [`ClientError::Url`]
    pub fn new(url: &str, token: Option<String>) -> Result<Self, ClientError> {
        let parsed = url.parse::<Uri>().ok();
        let http = parsed.filter(|uri| uri.scheme_str() == Some("http"));
        let authority = http.as_ref().and_then(Uri::authority);
        let Some(authority) = authority else {
            return Err(ClientError::Url {
                url: url.to_owned(),
            });
        };
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            authority: format!("{}:{port}", authority.host()),
            token,
        })
    }

    /// Asks, and waits for the answer as `T`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<T, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| self.unreachable(source))?;
        let asked = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, self.send(method, path, body.into())).await
        });
        let (status, body) = asked.map_err(|_| self.broken())??;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| self.stranger(status));
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(ClientError::Token);
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal { message, faults }) => Err(ClientError::Refused { message, faults }),
            Err(_) => Err(self.stranger(status)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|source| self.unreachable(source))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| self.broken())?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|_| self.broken())?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|_| self.broken())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|_| self.broken())?;
        connection.abort();
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, source: std::io::Error) -> ClientError {
        ClientError::Unreachable {
            url: self.url.clone(),
            source,
        }
    }

    fn broken(&self) -> ClientError {
        ClientError::Broken {
            url: self.url.clone(),
        }
    }

    fn stranger(&self, status: StatusCode) -> ClientError {
        ClientError::Stranger {
            url: self.url.clone(),
            status,
        }
    }
}

/// A name as one part of a path.
#[must_use]
pub fn path_part(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            part.push(char::from(byte));
        } else {
            part.push_str(&format!("%{byte:02X}"));
        }
    }
    part
}
