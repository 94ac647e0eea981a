//! Listeners: one module for each kind of socket that connections come from.

mod tcp;

pub use tcp::serve;
