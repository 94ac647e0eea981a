//! One folder for each kind of destination. A folder owns everything of its kind: the keys of its
//! catalog entry and their checks, its requests, and what their answers mean. No I/O.
//!
//! To add a kind: its folder, its `mod` line and its place in [`KINDS`].

mod declaration;
mod kind;
mod stored;
mod limits;
mod target;
mod plan;
#[cfg(any(test, feature = "simulation"))]
pub mod stub;
pub mod webhook;

pub use declaration::{Caution, Declaration, Form, Key, KeyError};
pub use kind::{DestinationKind, Value};
pub(crate) use plan::{Plan, plans};

/// Every kind that a catalog may name. An entry of an unknown kind is read as the first one, so
/// that its other keys are checked too.
pub static KINDS: [&Declaration; 1] = [&webhook::DECLARATION];

/// Kinds for tests: found by their name, and not offered in messages and documentation.
#[cfg(any(test, feature = "simulation"))]
static TEST_KINDS: [&Declaration; 1] = [&stub::DECLARATION];
#[cfg(not(any(test, feature = "simulation")))]
static TEST_KINDS: [&Declaration; 0] = [];

/// The kind of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Declaration> {
    let mut kinds = KINDS.iter().chain(&TEST_KINDS);
    kinds.find(|kind| kind.name == name).copied()
}
