//! The integration harness: the real `tidegate` binary, a real Kafka broker, real HTTP clients and
//! a stub webhook receiver, each behind a few words, so that a test reads as a sentence.
//!
//! Everything listens on loopback, on a port of the system's choosing; every process started here
//! is ended by its own pid when its guard is dropped. Waiting goes through [`patience`] alone.

pub mod patience;
pub mod process;
pub mod config;
pub mod gateway;
pub mod http;
pub mod secure;
pub mod http2;
pub mod http3;
pub mod lane;
pub mod pebble;
pub mod load;
pub mod records;
pub mod kafka;
pub mod receiver;
pub mod otlp;
pub mod trace;
pub mod disk;

pub use config::Config;
pub use gateway::Gateway;
pub use kafka::Broker;
pub use load::Load;
pub use patience::{eventually, turn};
pub use receiver::Receiver;
