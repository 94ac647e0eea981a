//! Restart without closing a socket: the listening sockets come from the process before, or from a
//! service manager that holds them (systemd socket activation).
//!
//! The running process offers its sockets on a unix socket in the data directory, to its own user
//! only. A new one takes them, prepares what needs no lock, and says "go": then the old one stops
//! accepting, finishes, checkpoints and exits, while new connections wait in the kernel's queue.
//! That its end of the stream closes is how the new one knows; a new one that dies before "go"
//! leaves the old one as it was.

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
