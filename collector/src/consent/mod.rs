//! Consent: what a hit may be used for, resolved from the signals of its request before any
//! identifier is read (invariant 5). Pure: no I/O, no clock. The edge asks, for each event and for
//! each request that reads about a visitor.
//!
//! One file for each signal, which says where it is read, its values, and what an unknown value
//! means. A new signal is a file and an entry in `signals.rs`.

mod signal;
mod header;
mod tag;
mod dnt;
mod gpc;
#[cfg(test)]
mod sample;
mod signals;
mod source_default;
mod resolve;
#[cfg(test)]
mod tests;

pub use resolve::{of_request, resolve};
pub use signal::Request;
pub use signals::Signals;
pub(crate) use signals::members;
