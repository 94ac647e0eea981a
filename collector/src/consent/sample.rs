//! A signal of tests only: what a new one needs is this file and its entry in the list.
//!
//! - Read: the header `X-Sample-Consent` of the request, and `context.sample` of an event and of
//!   its batch.
//! - Values: `no`, nothing may be shared; `never`, the hit is refused; `yes`, analytics is granted.
//! - Unknown value: nothing is said.

use tidegate_event::consent::ConsentSignal;
use tidegate_event::{Hit, Json, Purposes};

use super::signal::{Request, Signal, Word, lent};
use crate::catalog::Source;

const MEMBERS: &[&str] = &["sample"];

pub(super) const HEADER: &str = "x-sample-consent";

pub(super) const SIGNAL: Signal = Signal {
    name: ConsentSignal("sample"),
    members: MEMBERS,
    of_request,
    of_event,
};

fn of_request(request: &Request<'_>, _: &Source) -> Word {
    let value = request.headers.get(HEADER);
    value.map_or(Word::SILENT, |value| read(value.as_bytes()))
}

fn of_event(hit: &Hit<'_>, _: &Source) -> Word {
    let own = hit.context.value.get("sample");
    let said = own.into_iter().chain(lent(hit, MEMBERS));
    said.filter_map(Json::as_str)
        .map(|value| read(value.as_bytes()))
        .fold(Word::SILENT, Word::and)
}

fn read(value: &[u8]) -> Word {
    match value {
        b"no" => Word::opt_out(Purposes::NO_SHARE),
        b"never" => Word::opt_out(Purposes::NONE),
        b"yes" => Word {
            grants: true,
            ..Word::SILENT
        },
        _ => Word::SILENT,
    }
}
