//! What a signal is: a name, where it is read, and what it may say.

use http::HeaderMap;
use tidegate_event::consent::ConsentSignal;
use tidegate_event::{Hit, Json, Purposes};

use crate::catalog::Source;

/// What signals may read of a request, beside its events. No identifier is among it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The page's own word, where the endpoint takes one: `granted` or another.
    pub word: Option<&'a str>,
}

/// One signal.
#[derive(Debug)]
pub(super) struct Signal {
    /// The record's word for it.
    pub(super) name: ConsentSignal,
    /// Members of an event's `context` in which it stands. Where an event's own replaces its batch's,
    /// both are kept.
    pub(super) members: &'static [&'static str],
    /// Reads a request, once for all of its events.
    pub(super) of_request: fn(&Request<'_>, &Source) -> Word,
    /// Reads one event with what its batch lends it.
    pub(super) of_event: fn(&Hit<'_>, &Source) -> Word,
}

/// What one signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// It grants analytics, and takes the place of the source's default.
    pub(super) grants: bool,
    /// What it leaves: everything where it denies nothing, nothing where it refuses the hit.
    pub(super) limit: Purposes,
    /// The visitor opted out: it is named as the one that decided also where another is as strict.
    pub(super) opts_out: bool,
}

impl Word {
    /// Nothing is said.
    pub(super) const SILENT: Self = Self {
        grants: false,
        limit: Purposes::GRANTED,
        opts_out: false,
    };

    /// The visitor opted out of everything but `limit`.
    pub(super) const fn opt_out(limit: Purposes) -> Self {
        Self {
            grants: false,
            limit,
            opts_out: true,
        }
    }

    /// Both together: a grant of either, limited by the denials of both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            grants: self.grants || other.grants,
            limit: self.limit.and(other.limit),
            opts_out: self.opts_out || other.opts_out,
        }
    }
}

/// What a batch says in these members and its event's own replace.
pub(super) fn lent<'h, 'a>(
    hit: &'h Hit<'a>,
    members: &'static [&'static str],
) -> impl Iterator<Item = &'h Json<'a>> {
    let lent = hit.lent_consents.iter();
    lent.filter(move |(member, _)| members.contains(member))
        .map(|(_, value)| value)
}

/// For a signal that is not in events.
pub(super) const fn not_in_events(_: &Hit<'_>, _: &Source) -> Word {
    Word::SILENT
}
