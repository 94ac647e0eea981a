//! Runs the crate without threads, network and disk: each step of the store thread, each look of a
//! worker and each answer is an action of its own, under a clock that the caller moves. For this
//! crate's and the collector's simulations; not part of a release build.

mod memory;
mod scripted;
mod engine;

pub use self::engine::{Engine, Sent};
pub use self::memory::MemoryStorage;
pub use self::scripted::ScriptedTransport;
pub use crate::mutant::Mutant;
pub use crate::outbox::Step;
pub use crate::outbox::storage::{Durability, Op, Space, Storage};

pub(crate) use self::engine::Stepped;

#[cfg(test)]
mod tests;
