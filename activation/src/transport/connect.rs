//! Opens TCP connections, but only to allowed addresses: the name is resolved here and the very
//! address that was judged is the one connected, so a name that resolves differently the second
//! time gains nothing.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower_service::Service;

use super::address::is_allowed;
use crate::settings::Network;

/// Addresses tried for one connection at most.
const ADDRESSES_MAX: usize = 4;

/// Names looked up at once. The system's resolver blocks a thread for as long as it likes; those of
/// the runtime also serve the disk.
const LOOKUPS_MAX: usize = 16;
static LOOKUPS: Semaphore = Semaphore::const_new(LOOKUPS_MAX);

/// Why no connection was opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The host has only addresses that are not allowed.
    #[error("address not allowed")]
    Blocked,
    /// The URI names no host.
    #[error("no host")]
    NoHost,
    /// The system's reason.
    #[error("cannot connect")]
    Io(#[from] io::Error),
}

/// The connector below TLS.
#[derive(Clone, Debug)]
pub(crate) struct GuardedConnector {
    allow_private: Arc<[Network]>,
}

impl GuardedConnector {
    pub(crate) fn new(allow_private: &[Network]) -> Self {
        Self {
            allow_private: allow_private.into(),
        }
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let allow = Arc::clone(&self.allow_private);
        Box::pin(async move { connect(&uri, &allow).await.map(TokioIo::new) })
    }
}

async fn connect(uri: &Uri, allow: &[Network]) -> Result<TcpStream, ConnectError> {
    let host = uri.host().ok_or(ConnectError::NoHost)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let mut failure = ConnectError::Blocked;
    for address in resolve(host, port).await? {
        if !is_allowed(address.ip(), allow) {
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error.into(),
        }
    }
    Err(failure)
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let name = host.to_owned();
    // The permit goes with the thread: a look-up that outlasts its request still takes one.
    let lookup = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        (name.as_str(), port).to_socket_addrs()
    });
    let found = lookup.await.map_err(io::Error::other)??;
    Ok(found.take(ADDRESSES_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(url: &str, allow: &[Network]) -> Result<TcpStream, ConnectError> {
        connect(&url.parse().unwrap(), allow).await
    }

    #[tokio::test]
    async fn names_and_odd_forms_of_loopback_are_judged_by_their_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in [
            "127.0.0.1",
            "localhost",
            "2130706433",
            "0x7f000001",
            "127.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "0",
        ] {
            let result = outcome(&format!("http://{host}:{port}/"), &[]).await;
            // The system may not know an odd form at all; what counts is: no connection.
            assert!(result.is_err(), "{host}");
            if host != "0x7f000001" {
                assert!(
                    matches!(result, Err(ConnectError::Blocked)),
                    "{host}: {result:?}"
                );
            }
        }
        let allow = ["127.0.0.1".parse().unwrap()];
        assert!(
            outcome(&format!("http://127.0.0.1:{port}/"), &allow)
                .await
                .is_ok()
        );
    }
}
