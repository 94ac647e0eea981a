//! What is collected, decided and fired: sources, segments, destinations. The types as used;
//! reading the file, checking it and the SQLite store are in the sibling modules.

pub mod file;
mod entry;
mod source;
mod segment;
pub mod destination;
pub mod caution;
pub mod write;
pub mod default;
pub mod canonical;
pub mod change;
mod rows;
pub mod store;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
pub use tidegate_activation::DestinationKind;

/// Everything that `tidegate apply` can change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// Who may send.
    pub sources: Vec<Source>,
    /// What is decided.
    pub segments: Vec<Segment>,
    /// What is called.
    pub destinations: Vec<Destination>,
    /// Names of the segments that left the catalog, in their order. A merge needs them to end the
    /// loser's memberships. No part of the catalog's text or digest.
    #[serde(skip)]
    pub disabled_segments: Vec<String>,
}

/// Where a source's events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// Browsers: cookie, CORS, sessions.
    Web,
    /// Back ends: no cookie, no session.
    Server,
}

/// What holds without any signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentDefault {
    /// Identify and dispatch.
    Granted,
    /// Journal without identifier.
    Anonymous,
    /// Count, do not store.
    Denied,
}

/// What `Sec-GPC: 1` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpcPolicy {
    /// Journal without identifier.
    Anonymous,
    /// Keep the first-party id and session; no sync, no dispatch.
    NoShare,
}

/// What one id of a consent tool is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentMeaning {
    /// Denied, the event is refused.
    Analytics,
    /// Denied, nothing is shared or dispatched.
    Advertising,
    /// It says nothing about this gateway.
    Ignore,
}

/// A source's ids, as its consent tool spells them.
pub type ConsentMap = BTreeMap<String, ConsentMeaning>;

/// One sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// The key its clients send.
    pub write_key: String,
    /// Browsers or back ends.
    pub kind: SourceKind,
    /// Origins that may read back (segments, stream); empty: none may.
    pub origins: Vec<String>,
    /// Silence that ends a session; 5 min to 7 h 55 min.
    pub session_gap_ms: u32,
    /// What holds without any signal.
    pub consent_default: ConsentDefault,
    /// What GPC means.
    pub gpc: GpcPolicy,
    /// Whether `DNT: 1` counts as GPC does.
    pub dnt: bool,
    /// Track events that count as conversions.
    pub conversions: Vec<String>,
    /// Events a second; None: no limit.
    #[serde(default)]
    pub rate_limit: Option<NonZeroU32>,
    /// What the ids of its consent tool mean. Left out where empty, so that a catalog without one
    /// keeps the digest that it had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consent_map: ConsentMap,
}

impl Source {
    /// A web source with all that a catalog file may leave out as it is left out there.
    #[must_use]
    pub fn web(name: &str, write_key: &str) -> Self {
        Self {
            name: name.to_owned(),
            write_key: write_key.to_owned(),
            kind: SourceKind::Web,
            origins: Vec::new(),
            session_gap_ms: 1_800_000,
            consent_default: ConsentDefault::Granted,
            gpc: GpcPolicy::Anonymous,
            dnt: false,
            conversions: Vec::new(),
            rate_limit: None,
            consent_map: ConsentMap::new(),
        }
    }
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// `[a-z0-9][a-z0-9._-]{0,63}`
    pub name: String,
    /// The expression.
    pub when: String,
    /// A wake-up later than this is marked `overdue`, milliseconds; 24 h by default.
    pub wake_up_max_delay_ms: u64,
}

/// One receiver of membership changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// The segments whose changes it gets; `*` is all of them.
    pub segments: Vec<String>,
    /// How, with the values of its kind's own keys.
    pub kind: DestinationKind,
}
