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

/// Which signal decided, by the record's word for it: `gpc`, `dnt`, `tag`, or `default` for the
/// source's `consent_default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsentSignal(pub &'static str);

/// A hit whose consent is resolved.
#[derive(Clone, Debug)]
pub struct Consented<'a> {
    /// The hit.
    pub hit: Hit<'a>,
    /// What may be done with it.
    pub consent: Consent,
}
