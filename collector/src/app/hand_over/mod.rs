//! Restart without closing a socket: the listening sockets come from the process before, or from a
//! service manager that holds them (systemd socket activation).
//!
//! The running process offers its sockets on a unix socket in the data directory, to its own user
//! only. A new one takes them, prepares what needs no lock, and says "go": then the old one stops
//! accepting, finishes, checkpoints and exits, while new connections wait in the kernel's queue.
//! The new process detects the exit by the closed stream. If it dies before "go", the old one goes on.

mod inherited;
mod message;
mod offer;
mod take;

pub use inherited::{InheritError, Inherited};
pub use offer::Successor;
pub use take::{Before, Predecessor, TakeOverError};

pub(super) use offer::Offer;
#[cfg(test)]
pub(super) use take::tests::send_admin;

/// The unix socket in the data directory.
const SOCKET: &str = "hand-over.sock";
/// What the new process says when it is ready to take over.
const GO: &[u8; 3] = b"go\n";
