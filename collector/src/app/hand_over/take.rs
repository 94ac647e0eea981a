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
    /// Whether it still runs cannot be found out.
    #[error("cannot wait for the end of the gateway before: {0}; look at its log")]
    Unseen(io::Error),
}

/// What is known of the process before when a start begins.
#[derive(Debug, Default)]
pub enum Before {
    /// Do not ask it to end: the process that holds the data directory keeps it.
    #[default]
    NotAsked,
    /// It was asked and does not answer. It has ended, or is ending and still holds its locks.
    Silent,
    /// It runs.
    Runs(Predecessor),
}

/// The process that runs now, which gave its sockets and waits for the word.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
}

impl Predecessor {
    /// Asks the gateway that runs in `data_dir` for its sockets; None where none answers any more:
    /// one that stops by itself takes its offer back first.
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
        match asked() {
            Ok(sockets) => Ok(Some((
                Self { stream },
                Inherited::from_predecessor(sockets),
            ))),
            // It ended in between.
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(refused(error)),
        }
    }

    /// Tells it to end, and waits until it has; or finds that it has ended by itself. From then on it
    /// no longer serves, so only its end ends the wait: after each `patience`, `waiting` is called
    /// with the time that was waited. Blocks.
    ///
    /// # Errors
    /// [`TakeOverError::Unseen`]
    pub(in crate::app) fn hand_over(
        mut self,
        patience: Duration,
        waiting: impl Fn(Duration),
    ) -> Result<(), TakeOverError> {
        let told = self
            .stream
            .set_read_timeout(Some(patience))
            .and_then(|()| self.stream.write_all(GO));
        let mut waited = Duration::ZERO;
        let mut ended = told.map(|()| false);
        loop {
            match ended {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if is_gone(&error) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    waited += patience;
                    waiting(waited);
                }
                Err(error) => return Err(TakeOverError::Unseen(error)),
            }
            // It says nothing more: what ends is its end of the stream.
            ended = self.stream.read(&mut [0]).map(|_| true);
        }
    }
}

/// The read timeout of a stream has passed.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// The stream's other end is closed.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;
    use std::net::{SocketAddr, TcpListener};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A running gateway that sends its sockets, hears what `hears` does, and dies.
    fn dying(data_dir: &Path, hears: impl FnOnce(UnixStream) + Send + 'static) {
        let offer = UnixListener::bind(data_dir.join(SOCKET)).unwrap();
        std::thread::spawn(move || hears(offer.accept().unwrap().0));
    }

    /// Sends an admin listener as a running gateway does; says where it listens.
    pub(in crate::app) fn send_admin(stream: &UnixStream) -> SocketAddr {
        let admin = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = admin.local_addr().unwrap();
        message::send(stream, &[("admin", OwnedFd::from(admin))]).unwrap();
        address
    }

    fn send_one(stream: &UnixStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        message::send(stream, &[("http", OwnedFd::from(listener))]).unwrap();
    }

    #[test]
    fn one_that_dies_while_the_new_one_prepares_is_relieved_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (died, dead) = std::sync::mpsc::channel();
        dying(dir.path(), move |stream| {
            send_one(&stream);
            drop(stream);
            died.send(()).unwrap();
        });
        let (predecessor, _) = Predecessor::ask(dir.path()).unwrap().unwrap();
        dead.recv().unwrap();
        predecessor.hand_over(PATIENCE, |_| ()).unwrap();
    }

    #[test]
    fn one_that_dies_with_the_word_in_hand_is_relieved() {
        let dir = tempfile::tempdir().unwrap();
        dying(dir.path(), |mut stream| {
            send_one(&stream);
            stream.read_exact(&mut [0]).unwrap();
        });
        let (predecessor, _) = Predecessor::ask(dir.path()).unwrap().unwrap();
        predecessor.hand_over(PATIENCE, |_| ()).unwrap();
    }

    #[test]
    fn one_that_dies_before_it_sends_its_sockets_is_none() {
        let dir = tempfile::tempdir().unwrap();
        dying(dir.path(), drop);
        assert!(Predecessor::ask(dir.path()).unwrap().is_none());
        assert!(
            Predecessor::ask(&dir.path().join("no-such"))
                .unwrap()
                .is_none()
        );
    }

    /// Its disk stands still after it agreed to end.
    #[test]
    fn one_that_does_not_end_is_waited_for_with_warnings() {
        let dir = tempfile::tempdir().unwrap();
        let (ended, end) = std::sync::mpsc::channel::<()>();
        dying(dir.path(), move |stream| {
            send_one(&stream);
            let _ = end.recv();
        });
        let (predecessor, _) = Predecessor::ask(dir.path()).unwrap().unwrap();
        let patience = Duration::from_millis(20);
        let (ended, warnings) = (Cell::new(Some(ended)), Cell::new(0));
        let waiting = |waited| {
            warnings.set(warnings.get() + 1);
            assert_eq!(waited, patience * warnings.get());
            if warnings.get() == 3 {
                drop(ended.take());
            }
        };
        predecessor.hand_over(patience, waiting).unwrap();
        assert!(warnings.get() >= 3);
    }
}
