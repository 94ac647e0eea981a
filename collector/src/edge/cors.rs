//! Cross-origin headers as real clients need them. The origin is echoed, because `*` is not allowed with
//! credentials. The requested headers are echoed, because `*` does not cover `Authorization`. The
//! endpoint decides which origins may read visitors' data.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

use crate::protocols::Carrier;

const TRUE: HeaderValue = HeaderValue::from_static("true");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset");
const METHODS: HeaderValue = HeaderValue::from_static(Carrier::METHODS);
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("3600");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const VARY_PREFLIGHT: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Headers");

/// What the request asked, kept until its answer is written.
#[derive(Debug)]
pub(super) struct Cors {
    origin: Option<HeaderValue>,
    preflight: bool,
    asked_headers: Option<HeaderValue>,
}

impl Cors {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let preflight = method == Method::OPTIONS;
        Self {
            origin: headers.get(ORIGIN).cloned(),
            preflight,
            asked_headers: headers
                .get(ACCESS_CONTROL_REQUEST_HEADERS)
                .filter(|_| preflight)
                .cloned(),
        }
    }

    /// Adds the answer's headers, whatever its status.
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        let Some(origin) = self.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        if !self.preflight {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            headers.insert(VARY, VARY_ORIGIN);
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
        headers.insert(VARY, VARY_PREFLIGHT);
        if let Some(asked) = self.asked_headers {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(method: &Method, asked: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in asked {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let mut answer = HeaderMap::new();
        Cors::of(method, &headers).apply(&mut answer);
        answer
    }

    #[test]
    fn a_preflight_gets_exactly_what_it_asked_for() {
        let answer = answer(
            &Method::OPTIONS,
            &[
                ("origin", "https://shop.example"),
                (
                    "access-control-request-headers",
                    "anonymousid,authorization,sentat",
                ),
            ],
        );
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://shop.example");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(
            answer[ACCESS_CONTROL_ALLOW_HEADERS],
            "anonymousid,authorization,sentat"
        );
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST, OPTIONS");
        assert_eq!(answer[ACCESS_CONTROL_MAX_AGE], "3600");
        assert!(answer[VARY].to_str().unwrap().starts_with("Origin"));
    }

    #[test]
    fn an_answer_echoes_the_origin_and_shows_retry_after() {
        let answer = answer(&Method::POST, &[("origin", "null")]);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "null");
        assert_eq!(answer[ACCESS_CONTROL_EXPOSE_HEADERS], EXPOSED);
        assert_eq!(answer[VARY], "Origin");
        assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }

    #[test]
    fn without_an_origin_nothing_is_added() {
        assert!(answer(&Method::POST, &[]).is_empty());
        assert!(answer(&Method::OPTIONS, &[("access-control-request-headers", "a")]).is_empty());
    }
}
