//! Configuration documents: TOML text, read with the position of every key. All errors are reported
//! together, each with its line and column.
//!
//! The settings and the catalog use it. It knows the keys of neither, and opens no file.

pub mod reason;
pub mod fault;
pub mod position;
pub mod suggest;
pub mod units;
pub mod syntax;
pub mod reader;
pub mod value;
pub mod section;

#[cfg(test)]
pub(crate) mod committed;
#[cfg(test)]
mod tests;

pub use fault::{Fault, Faults, Place};
pub use reader::{Environment, Reader};
pub use reason::Reason;
pub use section::Section;
pub use syntax::Document;
pub use value::Found;
