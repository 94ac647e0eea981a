//! Signals that are a header of one digit.

use http::{HeaderMap, HeaderName};

/// Whether a header says `1`, alone or in a list: proxies join repeated lines to `1, 1`.
pub(super) fn says_one(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|value| value.trim_ascii() == b"1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{dnt, gpc};
    use http::HeaderValue;

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
            for name in [gpc::HEADER, dnt::HEADER] {
                let mut headers = HeaderMap::new();
                for line in lines {
                    let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
                    headers.append(name.clone(), line);
                }
                assert_eq!(says_one(&headers, &name), expected, "{name} {lines:?}");
            }
        }
    }
}
