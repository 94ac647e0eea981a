//! Identity: which identifiers a consented hit names, which values are none, and what a profile is
//! known by. Pure: look-ups are in `profile`, merges are carried out in `core`.

pub mod placeholder;
pub mod identify;
pub mod identifiers;
#[cfg(test)]
mod tests;

pub use identifiers::Identifiers;
pub use identify::{CookieAction, CookieFacts, cookie_id, identify, is_cookie_id};
pub use placeholder::{Placeholders, is_placeholder};
