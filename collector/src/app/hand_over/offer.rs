//! The running process's side: it offers its listening sockets for as long as it serves.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{GO, SOCKET, message};

/// How long a new process may prepare: a large GeoIP database, a large catalog.
const PREPARATION_MAX: Duration = Duration::from_secs(300);
/// Pause after a failed accept, which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A process that is ready to take over. It waits for this to be dropped, at the very end.
#[derive(Debug)]
pub struct Successor {
    _stream: UnixStream,
}

/// Sockets on offer.
#[derive(Debug)]
pub(in crate::app) struct Offer {
    listener: UnixListener,
    sockets: Vec<(&'static str, OwnedFd)>,
}

impl Offer {
    /// Offers `sockets` in `data_dir`, whose lock the caller holds.
    pub(in crate::app) fn new(
        data_dir: &Path,
        sockets: Vec<(&'static str, OwnedFd)>,
    ) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, sockets })
    }

    /// Serves one process after the other until one is ready to take over; ends with the gateway.
    pub(in crate::app) async fn serve(self, taken: mpsc::Sender<Successor>) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no process accepted for a hand-over");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match timeout(PREPARATION_MAX, self.hand(stream)).await {
                Ok(Ok(successor)) => {
                    let _ = taken.send(successor).await;
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, "a hand-over came to nothing"),
                Err(_elapsed) => tracing::warn!("a process took too long to take over"),
            }
        }
    }

    async fn hand(&self, mut stream: UnixStream) -> io::Result<Successor> {
        let uid = stream.peer_cred()?.uid();
        if uid != rustix::process::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        stream.writable().await?;
        stream.try_io(Interest::WRITABLE, || message::send(&stream, &self.sockets))?;
        let mut said = [0; GO.len()];
        stream.read_exact(&mut said).await?;
        if said == *GO {
            Ok(Successor { _stream: stream })
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}
