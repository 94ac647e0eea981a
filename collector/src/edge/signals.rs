//! The consent signals in a request's headers.

use http::HeaderName;

use super::request::RawHit;
use crate::consent::Signals;

const GPC: HeaderName = HeaderName::from_static("sec-gpc");
const DNT: HeaderName = HeaderName::from_static("dnt");

/// Reads them.
pub(super) fn of(hit: &RawHit<'_>) -> Signals {
    Signals {
        gpc: hit.says_yes(GPC),
        dnt: hit.says_yes(DNT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::fake;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn a_signal_counts_however_it_was_joined() {
        for (lines, expected) in [
            (&["1"][..], true),
            (&[" 1 "], true),
            (&["1, 1"], true),
            (&["1,1"], true),
            (&["0, 1"], true),
            (&["0", "1"], true),
            (&["\u{ff}", "1"], true),
            (&["0"], false),
            (&[""], false),
            (&["11"], false),
            (&["true"], false),
            (&[], false),
        ] {
            for name in [GPC, DNT] {
                let mut headers = HeaderMap::new();
                for line in lines {
                    let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
                    headers.append(name.clone(), line);
                }
                let found = of(&fake::raw_hit(&headers));
                let found = if name == GPC { found.gpc } else { found.dnt };
                assert_eq!(found, expected, "{name} {lines:?}");
            }
        }
    }
}
