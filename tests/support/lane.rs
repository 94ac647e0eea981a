//! Where the requests of some visitors go: one connection of one version of HTTP, opened anew when
//! it is over. Says of a request without an answer whether its client knows why.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hyper::Method;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::gateway::{Addresses, Target};
use crate::http::{self, Answer, HttpError};
use crate::http2::Http2;
use crate::http3::Http3;
use crate::patience::patience;
use crate::secure::{shake_hands, trusting};

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spoken {
    /// HTTP/1.1 in clear text.
    Http1,
    /// HTTP/2 in clear text, with prior knowledge.
    Http2,
    /// HTTP/2 over TLS.
    Http2Tls,
    /// HTTP/3.
    Http3,
}

/// Why a request has no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// It was not processed, as the server says or because it never left: it may be sent again.
    TurnedAway,
    /// An idle connection was closed as it was about to be used again, as HTTP/1.1 allows.
    ClosedIdle,
    /// There was no connection to be had.
    NoConnection(HttpError),
    /// Anything else: nobody knows what became of it.
    Broken(HttpError),
}

/// Where requests go.
#[derive(Debug)]
pub struct Lane {
    spoken: Spoken,
    target: Target,
    trusted: String,
    open: Mutex<Option<Open>>,
    opened: AtomicU64,
}

/// An open connection, and the how many-th it is.
#[derive(Debug)]
struct Open {
    number: u64,
    connection: Connection,
}

#[derive(Debug)]
enum Connection {
    /// Out of the lane while a request is under way.
    Http1(http::Connection),
    /// Shared by its requests, as is the next.
    Http2(Http2),
    Http3(Http3),
}

impl Lane {
    /// To the gateway at `target`; over TLS the certificates of `trusted`, PEM, are trusted.
    #[must_use]
    pub fn new(spoken: Spoken, target: Target, trusted: String) -> Self {
        Self {
            spoken,
            target,
            trusted,
            open: Mutex::new(None),
            opened: AtomicU64::new(0),
        }
    }

    /// What it speaks.
    #[must_use]
    pub const fn spoken(&self) -> Spoken {
        self.spoken
    }

    /// Connections opened so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// POSTs JSON.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub async fn post(&self, path: &str, body: String) -> Result<Answer, NoAnswer> {
        let (mut open, reused) = self.take().await.map_err(NoAnswer::NoConnection)?;
        let sent = timeout(patience(), open.connection.post(path, body.into(), reused)).await;
        let answer = sent.unwrap_or_else(|elapsed| Err(NoAnswer::Broken(elapsed.into())));
        let mut place = self.open.lock().await;
        match (&answer, &open.connection) {
            (Ok(_), Connection::Http1(_)) => *place = Some(open),
            (Ok(_), Connection::Http2(_) | Connection::Http3(_)) => {}
            // Another request may have opened the next one already.
            (Err(_), _) => {
                place.take_if(|place| place.number == open.number);
            }
        }
        answer
    }

    /// A connection, and whether it was used before.
    async fn take(&self) -> Result<(Open, bool), HttpError> {
        let mut place = self.open.lock().await;
        let before = place.take();
        let reused = before.is_some();
        let open = match before {
            Some(open) => open,
            None => self.connect().await?,
        };
        *place = open.shared();
        Ok((open, reused))
    }

    async fn connect(&self) -> Result<Open, HttpError> {
        let Addresses { http, https, .. } = *self.target.read().expect("no holder panics");
        let secure = https.ok_or("the gateway has no https");
        let connection = match self.spoken {
            Spoken::Http1 => Connection::Http1(http::Connection::open(http).await?),
            Spoken::Http2 => {
                let stream = TcpStream::connect(http).await?;
                stream.set_nodelay(true)?;
                Connection::Http2(Http2::open(stream, format!("http://{http}")).await?)
            }
            Spoken::Http2Tls => {
                let config = trusting(&self.trusted, &[b"h2"]);
                let stream = shake_hands(secure?, &config, "localhost").await?;
                stream.get_ref().0.set_nodelay(true)?;
                Connection::Http2(Http2::open(stream, "https://localhost".to_owned()).await?)
            }
            Spoken::Http3 => {
                let connecting = Http3::open(secure?, trusting(&self.trusted, &[b"h3"]));
                Connection::Http3(timeout(patience(), connecting).await??)
            }
        };
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Open { number, connection })
    }
}

impl Open {
    /// For the next request, where this one need not be over first.
    fn shared(&self) -> Option<Self> {
        let connection = match &self.connection {
            Connection::Http1(_) => return None,
            Connection::Http2(http2) => Connection::Http2(http2.clone()),
            Connection::Http3(http3) => Connection::Http3(http3.clone()),
        };
        Some(Self {
            number: self.number,
            connection,
        })
    }
}

impl Connection {
    async fn post(&mut self, path: &str, body: Bytes, reused: bool) -> Result<Answer, NoAnswer> {
        match self {
            Self::Http1(http1) => {
                let headers = [("content-type", "application/json")];
                let answer = http1.send(Method::POST, path, &headers, body).await;
                answer.map_err(|error| {
                    if reused {
                        NoAnswer::ClosedIdle
                    } else {
                        NoAnswer::Broken(error)
                    }
                })
            }
            Self::Http2(http2) => http2.post(path, body).await,
            Self::Http3(http3) => http3.post(path, body).await,
        }
    }
}
