//! From membership changes to callbacks: gates, a durable outbox, one worker a destination, and
//! requests that are retried until they succeed or become dead letters.
//!
//! The collector reads the journal and hands records in with their offset; this crate never opens
//! the journal and never reads a clock of its own ([`Clock`] is given at start). Delivery is
//! at-least-once with a stable id, in order per profile, segment and destination.

#![forbid(unsafe_code)]

pub mod settings;
mod clock;
mod error;
pub mod gate;
mod intent;
mod outbox;
mod queue;
mod limiter;
mod breaker;
pub mod retry;
pub mod destinations;
pub mod transport;
mod shared;
mod mutant;
mod wake;
mod destination;
mod capacity;
mod worker;
mod dead_letter;
mod replay;
mod hand_in;
mod stats;
mod observer;
mod host;
mod inner;
mod activation;
mod admin;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;

pub use activation::{Activation, Leftover};
pub use admin::TestReport;
pub use breaker::{BreakerState, PauseReason};
pub use clock::Clock;
pub use dead_letter::{DeadLetter, DeadReason, RenderedRequest};
pub use destinations::DestinationKind;
pub use error::{
    AdminError, ApplyError, ConfigError, ConfigErrorKind, OpenError, ReopenError, StoreError,
};
pub use intent::{AudienceChange, Head, Intent};
pub use observer::{Attempt, Observer};
pub use outbox::storage::{Durability, Entry, KeyRange, Op, Space, Storage};
pub use outbox::{FORMAT, Step, check_format};
pub use replay::{ReplayReport, ReplayWhich};
pub use settings::{DestinationConfig, Limits, Network, RetryPolicy, Secret, Settings};
pub use stats::{DestinationMetrics, DestinationStatus, LATENCY_BUCKETS_MS, Latency, Metrics};
