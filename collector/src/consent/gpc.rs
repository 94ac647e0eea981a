//! Global Privacy Control: the browser says that the visitor opts out of sale and sharing.
//!
//! - Read: the header `Sec-GPC` of the request.
//! - Values: `1`. What it leaves is the source's `gpc` policy.
//! - Source: W3C, Global Privacy Control, "The Sec-GPC Header Field for HTTP Requests".
//! - Unknown value: nothing is said; the specification has one value.

use http::HeaderName;
use tidegate_event::Purposes;
use tidegate_event::consent::ConsentSignal;

use super::header::says_one;
use super::signal::{Request, Signal, Word, not_in_events};
use crate::catalog::{GpcPolicy, Source};

pub(super) const HEADER: HeaderName = HeaderName::from_static("sec-gpc");

pub(super) const SIGNAL: Signal = Signal {
    name: ConsentSignal("gpc"),
    members: &[],
    of_request,
    of_event: not_in_events,
};

fn of_request(request: &Request<'_>, source: &Source) -> Word {
    if says_one(request.headers, &HEADER) {
        Word::opt_out(policy(source))
    } else {
        Word::SILENT
    }
}

/// What an opt-out by header leaves.
pub(super) const fn policy(source: &Source) -> Purposes {
    match source.gpc {
        GpcPolicy::Anonymous => Purposes::ANONYMOUS,
        GpcPolicy::NoShare => Purposes::NO_SHARE,
    }
}
