//! The list of signals, and what each of them says in one request.

use tidegate_event::Hit;
use tidegate_event::consent::ConsentSignal;

use super::signal::{Request, Signal, Word};
use super::{dnt, gpc, tag};
use crate::catalog::Source;

/// Every signal that is read. Where two opt-outs are equally strict, the later one is named.
const SIGNALS: &[Signal] = &[
    tag::SIGNAL,
    #[cfg(test)]
    super::sample::SIGNAL,
    dnt::SIGNAL,
    gpc::SIGNAL,
];

/// Members of a `context` in which signals stand.
pub(crate) fn members() -> impl Iterator<Item = &'static str> {
    SIGNALS.iter().flat_map(|signal| signal.members).copied()
}

/// What each signal says, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals([Word; SIGNALS.len()]);

impl Default for Signals {
    /// Nothing is said.
    fn default() -> Self {
        Self([Word::SILENT; SIGNALS.len()])
    }
}

impl Signals {
    /// Reads a request's signals, once for all of its events.
    #[must_use]
    pub fn of(request: &Request<'_>, source: &Source) -> Self {
        let mut words = Self::default();
        for (word, signal) in words.0.iter_mut().zip(SIGNALS) {
            *word = (signal.of_request)(request, source);
        }
        words
    }

    /// These, and those of one event.
    pub(super) fn and_event(mut self, hit: &Hit<'_>, source: &Source) -> Self {
        for (word, signal) in self.0.iter_mut().zip(SIGNALS) {
            *word = word.and((signal.of_event)(hit, source));
        }
        self
    }

    /// Every signal by name with what it says.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConsentSignal, Word)> {
        SIGNALS
            .iter()
            .zip(self.0)
            .map(|(signal, word)| (signal.name, word))
    }
}
