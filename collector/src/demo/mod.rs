//! `tidegate demo`: a gateway, a small shop with the tag pasted in, a stub ad server and one live
//! page, all in this process and all on loopback.
//!
//! Nothing of it is used by `tidegate serve`.

mod cast;
mod pages;
mod feed;
mod tail;
mod signature;
mod serve;
mod shop;
mod ad_server;
mod stage;
mod run;

pub use run::{DemoError, Gateway, run};
pub use stage::{Options, StageError};

#[cfg(test)]
mod tests;
