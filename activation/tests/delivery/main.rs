//! Deliveries against a real HTTP receiver in the same process: order, retries, isolation,
//! restarts, dead letters.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

mod harness;
mod order;
mod capacity;
mod failures;
mod recovery;
mod dead_letters;
mod admin;
