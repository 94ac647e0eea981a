//! The collector: everything between a socket and a cursor's sink.
//!
//! The modules stand in the order of the flow: what is configured, then one hit from the edge
//! through the pure pipeline into the live state and the journal, then the cursors that follow it.

pub mod steady;
pub mod clock;
pub mod liveness;
pub mod not_built;
pub mod document;
pub mod fingerprint;
pub mod settings;
pub mod catalog;
pub mod telemetry;
pub mod tracked;
pub mod recent;
pub mod bad_rows;
pub mod edge;
pub mod protocols;
pub mod consent;
pub mod identity;
pub mod pipeline;
pub mod geo;
pub mod device;
pub mod list;
pub mod session;
pub mod profile;
pub mod decide;
pub mod formats;
pub mod unreadable;
pub mod core;
pub mod cursors;
pub mod background;
pub mod admin;
pub mod demo;
pub mod app;
pub mod cli;
#[cfg(test)]
mod fixture;
#[cfg(test)]
#[cfg(feature = "kafka")]
mod simulation;
