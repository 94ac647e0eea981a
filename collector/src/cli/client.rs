//! A client of the admin API: one request, one answer, errors that say what to do next.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

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
    /// TLS, and nothing to know the gateway by.
    #[error("{url} speaks TLS; name who signed its certificate with --admin-ca FILE")]
    Untrusted {
        /// Where.
        url: String,
    },
    /// The handshake failed.
    #[error(
        "no TLS with {url}: {source}; see --admin-ca, and --admin-cert and --admin-key where it asks for a certificate"
    )]
    Handshake {
        /// Where.
        url: String,
        /// Why.
        source: std::io::Error,
    },
    /// No process listens there.
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
    host: String,
    authority: String,
    token: Option<String>,
    /// TLS, where the URL says https.
    tls: Option<Arc<ClientConfig>>,
}

/// Cleartext or TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    faults: Vec<FaultView>,
}

impl Client {
    /// The listener at `url`, which is `http://HOST:PORT` or, with `tls`, `https://HOST:PORT`.
    ///
    /// # Errors
    /// [`ClientError::Url`], [`ClientError::Untrusted`]
    pub fn new(
        url: &str,
        token: Option<String>,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, ClientError> {
        let wrong = || ClientError::Url {
            url: url.to_owned(),
        };
        let parsed: Uri = url.parse().map_err(|_| wrong())?;
        let authority = parsed.authority().ok_or_else(wrong)?;
        let (port, tls) = match parsed.scheme_str() {
            Some("http") => (80, None),
            Some("https") if tls.is_some() => (443, tls),
            Some("https") => {
                return Err(ClientError::Untrusted {
                    url: url.to_owned(),
                });
            }
            Some(_) | None => return Err(wrong()),
        };
        let port = authority.port_u16().unwrap_or(port);
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            authority: format!("{}:{port}", authority.host()),
            token,
            tls,
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
        let stream = self.connect().await?;
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

    async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|source| self.unreachable(source))?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| ClientError::Url {
            url: self.url.clone(),
        })?;
        let connector = TlsConnector::from(Arc::clone(tls));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(source) => Err(ClientError::Handshake {
                url: self.url.clone(),
                source,
            }),
        }
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
