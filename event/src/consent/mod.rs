//! What the visitor allows, resolved before any identifier is touched (invariant 5).

mod purposes;

pub use purposes::Purposes;

use crate::hit::Hit;

/// The resolved purposes and where they came from; journaled with the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consent {
    /// What may be done.
    pub purposes: Purposes,
    /// The signal that decided.
    pub signal: ConsentSignal,
    /// `Sec-GPC: 1` was sent.
    pub gpc: bool,
}

/// Which signal decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
