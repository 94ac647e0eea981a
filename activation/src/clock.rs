//! The only source of time: the process that embeds this crate gives it at start.

use std::fmt;

use tidegate_event::Timestamp;

/// Tells the time. The collector's clock implements it; tests use their own.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Milliseconds since 1970. Never steps back: what is due follows it.
    fn now(&self) -> Timestamp;
    /// The wall clock: signatures carry it, and receivers compare it with theirs.
    fn wall(&self) -> Timestamp {
        self.now()
    }
}
