//! The gateway as its users meet it: the real binary, a real Kafka broker, real sockets, real
//! crashes. Each test takes its turn, because they are heavy and the machine may be small.
//!
//! `cargo build` comes first; `TIDEGATE_LONG=1` runs the long forms.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed test says it that way"
)]

mod ack_is_durable;
mod apply_live;
mod bad_input;
mod behind_nginx;
mod crash;
mod dashboards;
mod disk_full;
mod full_journal;
mod disk_fails;
mod open_files;
mod http3_memory;
mod data_dir_is_private;
mod kafka_never;
mod kafka_outage;
mod kafka_refuses;
mod reload;
mod drain;
mod hand_over;
mod acme;
mod metrics_move;
mod outcomes;
mod shutdown;
mod edge_is_not_admin;
mod webhook;
mod uneven_traffic;
mod otlp;
mod upgrade;
