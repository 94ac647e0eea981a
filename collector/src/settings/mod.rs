//! `tidegate.toml` as used: checked, with defaults filled in.
//!
//! Each section is a file that declares its keys: type, default, bounds, text of the reference, and
//! whether a reload takes a change (`declare`, `kind`). [`mod@file`] reads them all, `check`
//! compares them, [`load`] is the only one that opens a file. Nothing here reads the process's
//! environment.

mod declare;
mod kind;
mod form;
mod cidr;

mod journal;
mod edge;
mod cookie;
mod identity;
mod admin;
mod kafka;
mod geoip;
mod user_agents;
mod activation;
mod dedup;
mod profiles;
mod checkpoint;
mod timers;
mod bad_rows;
mod liveness;
mod reload;
mod drain;
mod telemetry;

pub mod file;
mod check;
pub mod caution;
pub mod change;
pub mod keys;
pub mod load;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use declare::When::{Live, Restart};
use declare::{key, section, table};
use kind::path;

pub use activation::Activation;
pub use admin::{Admin, AdminTls};
pub use bad_rows::BadRows;
pub use checkpoint::Checkpoint;
pub use cidr::Cidr;
pub use cookie::Cookie;
pub use declare::{Key, When};
pub use dedup::Dedup;
pub use drain::Drain;
#[cfg(test)]
pub(crate) use edge::built_in_paths;
pub use edge::{Ack, Acme, CertificateFiles, Edge, Http3, Paths, ProxyProtocol, Tls};
pub use geoip::Geoip;
pub use identity::Identity;
pub use journal::Journal;
pub use kafka::Kafka;
pub use liveness::Liveness;
pub use profiles::Profiles;
pub use reload::Reload;
pub use telemetry::{LogFormat, Otlp, Telemetry};
pub use timers::Timers;
pub use user_agents::UserAgents;

section! {
    /// Everything that can be set.
    pub struct Settings {
        /// Directory of journal, profiles, outbox and catalog. One process uses it at a time.
        data_dir: PathBuf = PathBuf::from("./tidegate-data") => key("data_dir", Restart, path()),

        /// The catalog file. It is applied at start and on reload if it was edited since it was
        /// last applied; until then, what `tidegate apply` put in its place stays. Without a file,
        /// an empty data directory starts with the source `demo`.
        catalog: Option<PathBuf> = None
            => key("catalog", Live, path().optional()).unset(r#""catalog.toml""#),

        /// `[journal]`
        journal: Journal = Journal::default() => table("journal"),

        /// `[edge]`
        edge: Edge = Edge::default() => table("edge"),

        /// `[cookie]`
        cookie: Cookie = Cookie::default() => table("cookie"),

        /// `[identity]`
        identity: Identity = Identity::default() => table("identity"),

        /// `[admin]`
        admin: Admin = Admin::default() => table("admin"),

        /// `[kafka]`; None: no forwarding.
        kafka: Option<Kafka> = None => table("kafka"),

        /// `[geoip]`
        geoip: Geoip = Geoip::default() => table("geoip"),

        /// `[user_agents]`
        user_agents: UserAgents = UserAgents::default() => table("user_agents"),

        /// `[activation]`
        activation: Activation = Activation::default() => table("activation"),

        /// `[dedup]`
        dedup: Dedup = Dedup::default() => table("dedup"),

        /// `[profiles]`
        profiles: Profiles = Profiles::default() => table("profiles"),

        /// `[checkpoint]`
        checkpoint: Checkpoint = Checkpoint::default() => table("checkpoint"),

        /// `[timers]`
        timers: Timers = Timers::default() => table("timers"),

        /// `[bad_rows]`
        bad_rows: BadRows = BadRows::default() => table("bad_rows"),

        /// `[liveness]`
        liveness: Liveness = Liveness::default() => table("liveness"),

        /// `[reload]`
        reload: Reload = Reload::default() => table("reload"),

        /// `[drain]`
        drain: Drain = Drain::default() => table("drain"),

        /// `[telemetry]`
        telemetry: Telemetry = Telemetry::default() => table("telemetry"),
    }
}
