//! What the visitor allows, resolved before any identifier is touched (invariant 5).

use serde::{Deserialize, Serialize};

use crate::hit::Hit;

/// What may be done with a hit. A refusal is not a state here: a refused hit goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// Identify, keep the session, dispatch.
    Granted,
    /// First-party id and session, but no sync and no dispatch.
    NoShare,
    /// No identifier, traits, full IP, session, segments or cookie.
    Anonymous,
}

/// The resolved state and where it came from; journaled with the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// What may be done.
    pub state: ConsentState,
    /// The strictest signal that decided: `gpc`, `dnt`, `tag`, `default` (later `tcf`, `gpp`).
    pub signal: ConsentSignal,
    /// `Sec-GPC: 1` was sent.
    pub gpc: bool,
}

/// Which signal decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentSignal {
    /// Global Privacy Control.
    Gpc,
    /// Do Not Track, where the source turns it on.
    Dnt,
    /// The tag's own signal.
    Tag,
    /// The source's `consent_default`.
    Default,
}

/// A hit whose consent is resolved.
#[derive(Clone, Debug)]
pub struct Consented<'a> {
    /// The hit.
    pub hit: Hit<'a>,
    /// What may be done with it.
    pub consent: Consent,
}
