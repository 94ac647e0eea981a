//! Identifiers that nobody reads before consent is resolved (invariant 5).

use std::fmt;

use super::Profiling;

/// What was sent and may identify someone: closed until a consent that allows a profile opens it.
///
/// ```compile_fail
/// let sealed = tidegate_event::consent::Sealed::new("a-1");
/// let read = sealed.0;
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sealed<T>(T);

impl<T> Sealed<T> {
    /// Closes it.
    pub const fn new(sent: T) -> Self {
        Self(sent)
    }

    /// Opens it, by the proof that consent allows a profile.
    pub const fn open(&self, _: Profiling) -> &T {
        &self.0
    }

    /// For [`super::super::hit`], which may hash what it does not give away.
    pub(crate) const fn closed(&self) -> &T {
        &self.0
    }
}

/// Says nothing of what is in it.
impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{Consent, ConsentSignal, Purposes};

    #[test]
    fn only_a_consent_to_a_profile_opens_it() {
        let sealed = Sealed::new("a-1");
        for (purposes, expected) in [
            (Purposes::GRANTED, Some("a-1")),
            (Purposes::NO_SHARE, Some("a-1")),
            (Purposes::ANONYMOUS, None),
            (Purposes::NONE, None),
        ] {
            let consent = Consent {
                purposes,
                signal: ConsentSignal("test"),
                gpc: false,
            };
            let opened = consent.profiling().map(|proof| *sealed.open(proof));
            assert_eq!(opened, expected, "{purposes:?}");
        }
    }

    #[test]
    fn it_is_not_written_to_logs() {
        assert_eq!(format!("{:?}", Sealed::new("a-1")), "Sealed");
    }
}
