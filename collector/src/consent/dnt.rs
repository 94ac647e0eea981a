//! Do Not Track. By law no signal of its own, so a source turns it on (`dnt`); then it counts as
//! Global Privacy Control does.
//!
//! - Read: the header `DNT` of the request.
//! - Values: `1`, no tracking; `0`, tracking is allowed, which grants nothing here.
//! - Source: W3C, Tracking Preference Expression, "DNT Header Field for HTTP Requests".
//! - Unknown value, or `1` with an extension behind it: nothing is said.

use http::HeaderName;
use tidegate_event::consent::ConsentSignal;

use super::gpc::policy;
use super::header::says_one;
use super::signal::{Request, Signal, Word, not_in_events};
use crate::catalog::Source;

pub(super) const HEADER: HeaderName = HeaderName::from_static("dnt");

pub(super) const SIGNAL: Signal = Signal {
    name: ConsentSignal("dnt"),
    members: &[],
    of_request,
    of_event: not_in_events,
};

fn of_request(request: &Request<'_>, source: &Source) -> Word {
    if source.dnt && says_one(request.headers, &HEADER) {
        Word::opt_out(policy(source))
    } else {
        Word::SILENT
    }
}
