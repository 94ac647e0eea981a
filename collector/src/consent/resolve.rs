//! Combines the signals: the strictest wins.
//!
//! The base is everything where a signal grants analytics, else the source's `consent_default`.
//! Every signal can only tighten it.

use tidegate_event::consent::ConsentSignal;
use tidegate_event::{Consent, Consented, Hit, Purposes};

use super::signal::Word;
use super::signals::Signals;
use super::{gpc, source_default};
use crate::catalog::{Source, SourceKind};

/// Resolves consent of one event. A hit of a server-side source leaves with `server_channel` set, so
/// that the later steps need not know the source.
///
/// # Errors
/// The hit itself where the visitor refused, or where the source wants a signal and none came:
/// `consent_denied`.
#[expect(
    clippy::result_large_err,
    reason = "a refused hit is only counted; boxing would cost every one of them an allocation"
)]
pub fn resolve<'a>(
    mut hit: Hit<'a>,
    signals: &Signals,
    source: &Source,
) -> Result<Consented<'a>, Hit<'a>> {
    hit.server_channel |= source.kind == SourceKind::Server;
    match combined(&signals.and_event(&hit, source), source) {
        Some(consent) => Ok(Consented { hit, consent }),
        None => Err(hit),
    }
}

/// Resolves consent of a request that reads about a visitor. None is a refusal.
///
/// A back end names the visitor and answers for what it asks: the signals of its request are not the
/// visitor's.
#[must_use]
pub fn of_request(signals: &Signals, source: &Source) -> Option<Consent> {
    match source.kind {
        SourceKind::Web => combined(signals, source),
        SourceKind::Server => Some(Consent {
            purposes: Purposes::GRANTED,
            signal: source_default::NAME,
            gpc: false,
        }),
    }
}

fn combined(signals: &Signals, source: &Source) -> Option<Consent> {
    let (mut purposes, mut decided) = base(signals, source);
    for (signal, word) in signals.iter() {
        let both = purposes.and(word.limit);
        let as_strict = word.opts_out && both == word.limit;
        if both != purposes || as_strict {
            decided = signal;
        }
        purposes = both;
    }
    let sent = |(signal, word): (ConsentSignal, Word)| signal == gpc::SIGNAL.name && word.opts_out;
    purposes.store().then(|| Consent {
        purposes,
        signal: decided,
        gpc: signals.iter().any(sent),
    })
}

/// What holds before anything is denied.
fn base(signals: &Signals, source: &Source) -> (Purposes, ConsentSignal) {
    let granted = signals.iter().find(|(_, word)| word.grants);
    granted.map_or_else(
        || (source_default::of(source), source_default::NAME),
        |(signal, _)| (Purposes::GRANTED, signal),
    )
}
