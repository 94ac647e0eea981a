//! The new process's side: it takes the sockets, and later the place.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{GO, Inherited, SOCKET, message};

/// How long the running process may take to send its sockets.
const SOCKETS_PATIENCE: Duration = Duration::from_secs(5);

/// A hand-over that failed.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// No sockets came.
    #[error(
        "cannot take over from the gateway in {}: {error}; the running one goes on as it was",
        data_dir.display()
    )]
    Refused {
        /// Whose data directory.
        data_dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It does not end.
    #[error(
        "the gateway before did not end within {} s; look at its log",
        waited.as_secs()
    )]
    Stuck {
        /// How long was waited for it.
        waited: Duration,
    },
}

/// The process that runs now, which gave its sockets and waits for the word.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
}

impl Predecessor {
    /// Asks the gateway that runs in `data_dir` for its sockets; None where none runs.
    ///
    /// # Errors
    /// [`TakeOverError::Refused`]
    pub fn ask(data_dir: &Path) -> Result<Option<(Self, Inherited)>, TakeOverError> {
        let refused = |error| TakeOverError::Refused {
            data_dir: data_dir.to_owned(),
            error,
        };
        let stream = match UnixStream::connect(data_dir.join(SOCKET)) {
            Ok(stream) => stream,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(refused(error)),
        };
        let asked = || {
            stream.set_read_timeout(Some(SOCKETS_PATIENCE))?;
            message::receive(&stream)
        };
        let sockets = asked().map_err(refused)?;
        Ok(Some((
            Self { stream },
            Inherited::from_predecessor(sockets),
        )))
    }

    /// Tells it to end, and waits until it has. Blocks.
    ///
    /// # Errors
    /// [`TakeOverError::Stuck`] after `patience`.
    pub(in crate::app) fn relieve(mut self, patience: Duration) -> Result<(), TakeOverError> {
        let stuck = |_error| TakeOverError::Stuck { waited: patience };
        self.stream
            .set_read_timeout(Some(patience))
            .map_err(stuck)?;
        self.stream.write_all(GO).map_err(stuck)?;
        // It says nothing more: what ends is its end of the stream.
        match self.stream.read(&mut [0]) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(stuck(error)),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}
