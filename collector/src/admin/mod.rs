//! The admin listener: health, readiness, metrics and the admin API.
//!
//! Speaks HTTP/1.1 on its own port, never on the edge's. What the gateway is and does stands behind
//! [`Control`]; nothing here knows journal, rules or outbox.

pub mod control;
pub mod auth;
pub mod reply;
pub mod health;
pub mod metrics;
pub mod outcomes;
pub mod catalog;
pub mod reload;
pub mod cursors;
pub mod destinations;
pub mod bad_rows;
mod work;
pub mod route;
pub mod tls;
mod places;
mod spare;
pub mod listener;
mod starting;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use auth::{Token, TokenError};
pub use control::{Control, ControlError};
pub use listener::serve;
pub use route::Admin;
#[cfg(test)]
pub(crate) use route::ROUTES;
pub use starting::{Replay, Starting};
pub use tls::TlsError;
