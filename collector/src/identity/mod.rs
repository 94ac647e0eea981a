//! Identity: which identifiers a consented hit names, which values are none, what a profile is known
//! by, and the guards between profiles. Pure.
//!
//! `kinds` has a row for each kind of identifier; all else reads it. The index from identifier to
//! profile is in `profile::live` over `profile::store`, how two profiles become one in
//! `profile::merge`; `core::resolve` carries both out under locks.

pub mod placeholder;
pub(crate) mod kinds;
pub mod identify;
pub(crate) mod candidates;
pub mod identifiers;
pub(crate) mod guards;
#[cfg(test)]
mod tests;

pub use identifiers::Identifiers;
pub use identify::{CookieAction, CookieFacts, cookie_id, identify, is_cookie_id};
pub use placeholder::{Placeholders, is_placeholder};
