//! What the visitor allows, resolved before any identifier is touched (invariant 5).

mod purposes;
mod sealed;

pub use purposes::Purposes;
pub use sealed::Sealed;

use crate::hit::{Hit, SentIds};

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

impl Consent {
    /// The proof that opens identifiers; None where a profile is not allowed.
    #[must_use]
    pub const fn profiling(&self) -> Option<Profiling> {
        if self.purposes.profile() {
            Some(Profiling(()))
        } else {
            None
        }
    }
}

/// Proof that a resolved consent allows a profile. Nothing but [`Consent::profiling`] makes one, and
/// without one no identifier is read.
#[derive(Clone, Copy, Debug)]
pub struct Profiling(());

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

impl<'a> Consented<'a> {
    /// The hit's own identifiers; None where a profile is not allowed.
    #[must_use]
    pub fn identifiers(&self) -> Option<&SentIds<'a>> {
        let profiling = self.consent.profiling()?;
        Some(self.hit.ids.open(profiling))
    }
}
