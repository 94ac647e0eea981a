//! Step 2: what may be done with a hit, resolved before any identifier is read (invariant 5).
//! TCF and GPP strings are not read yet; their place is beside the tag's own signal.
//!
//! The base is what the tag or its batch grants. Where neither grants analytics, the base is the
//! source's `consent_default`. Everything else can only tighten it: what they deny, GPC, and DNT where
//! the source counts it.

use std::borrow::Cow;

use tidegate_event::consent::ConsentSignal;
use tidegate_event::{Consent, Consented, Hit, Json, Purposes};

use super::tag::{Limit, TagConsent};
use crate::catalog::{ConsentDefault, GpcPolicy, Source, SourceKind};

/// The request's own signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// `Sec-GPC: 1`
    pub gpc: bool,
    /// `DNT: 1`
    pub dnt: bool,
}

/// Resolves consent. A hit of a server-side source leaves with `server_channel` set, so that the
/// later steps need not know the source.
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
    match judged(said(&hit, source), signals, source) {
        Some(consent) => Ok(Consented { hit, consent }),
        None => Err(hit),
    }
}

/// Resolves consent of a request without events; `said` is the page's own word, `granted` or another.
/// None is a refusal.
#[must_use]
pub fn of_request(said: Option<&str>, signals: &Signals, source: &Source) -> Option<Consent> {
    let read = |word| TagConsent::read(&Json::Str(Cow::Borrowed(word)), &source.consent_map);
    judged(said.map(read).unwrap_or_default(), signals, source)
}

fn judged(said: TagConsent, signals: &Signals, source: &Source) -> Option<Consent> {
    let base = base(said, source)?;
    let opted_out = if signals.gpc {
        Some(ConsentSignal::Gpc)
    } else {
        (signals.dnt && source.dnt).then_some(ConsentSignal::Dnt)
    };
    let (purposes, signal) = match opted_out {
        // Also where it is no stricter: it is named first.
        Some(signal) if policy(source).and(base.0) == policy(source) => (policy(source), signal),
        Some(_) | None => base,
    };
    Some(Consent {
        purposes,
        signal,
        gpc: signals.gpc,
    })
}

/// What the event and its batch say together.
fn said(hit: &Hit<'_>, source: &Source) -> TagConsent {
    let map = &source.consent_map;
    let lent = hit.lent_consents.iter();
    let lent = lent.map(|consent| TagConsent::read(consent, map));
    lent.fold(
        TagConsent::of_context(&hit.context.value, map),
        TagConsent::and,
    )
}

/// The grant or the source's default, limited by what is denied; None is a refusal.
fn base(said: TagConsent, source: &Source) -> Option<(Purposes, ConsentSignal)> {
    let base = if said.granted {
        (Purposes::GRANTED, ConsentSignal::Tag)
    } else {
        let purposes = match source.consent_default {
            ConsentDefault::Granted => Purposes::GRANTED,
            ConsentDefault::Anonymous => Purposes::ANONYMOUS,
            ConsentDefault::Denied => return None,
        };
        (purposes, ConsentSignal::Default)
    };
    let limit = match said.limit {
        None => return Some(base),
        Some(Limit::Refused) => return None,
        Some(Limit::Anonymous) => Purposes::ANONYMOUS,
        Some(Limit::NoShare) => Purposes::NO_SHARE,
    };
    let tightens = limit.and(base.0) != base.0;
    Some(if tightens {
        (limit, ConsentSignal::Tag)
    } else {
        base
    })
}

const fn policy(source: &Source) -> Purposes {
    match source.gpc {
        GpcPolicy::Anonymous => Purposes::ANONYMOUS,
        GpcPolicy::NoShare => Purposes::NO_SHARE,
    }
}
