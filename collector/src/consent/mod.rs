//! Consent: what a hit may be used for, resolved from the signals of its request before any
//! identifier is read (invariant 5). Pure: no I/O, no clock.

pub(crate) mod tag;
mod resolve;
#[cfg(test)]
mod tests;

pub use resolve::{Signals, of_request, resolve};
