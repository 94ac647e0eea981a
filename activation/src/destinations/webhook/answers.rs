//! What the status of a receiver's answer means.

use tidegate_event::Timestamp;

use crate::retry::{FailureKind, Verdict};

/// Standard Webhooks makes 410 alone final. The other final ones name the request itself (RFC 9110,
/// 15.5), which would be the same each time; all further 4xx are tried again, because proxies answer
/// them while a receiver is rolled out.
pub(super) const fn judge(code: u16, not_before: Option<Timestamp>) -> Verdict {
    let kind = match code {
        200..=299 => return Verdict::Delivered,
        401 | 403 => return Verdict::Auth,
        410 => return Verdict::Gone,
        429 | 502 | 504 => FailureKind::Throttled,
        408 | 425 => FailureKind::Server,
        400 | 411 | 413..=417 | 422 | 431 => return Verdict::Permanent(FailureKind::Refused),
        400..=499 => FailureKind::Client,
        300..=399 => FailureKind::Redirect,
        _ => FailureKind::Server,
    };
    Verdict::Retry { kind, not_before }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_success_and_each_refusal_has_its_meaning() {
        let again = |kind| Verdict::Retry {
            kind,
            not_before: None,
        };
        for (codes, verdict) in [
            (&[200, 204, 299][..], Verdict::Delivered),
            (&[301, 304], again(FailureKind::Redirect)),
            (
                &[400, 411, 413, 414, 415, 417, 422, 431],
                Verdict::Permanent(FailureKind::Refused),
            ),
            (
                &[
                    402, 404, 405, 406, 409, 412, 418, 421, 423, 424, 428, 451, 499,
                ],
                again(FailureKind::Client),
            ),
            (&[401, 403], Verdict::Auth),
            (&[410], Verdict::Gone),
            (&[429, 502, 504], again(FailureKind::Throttled)),
            (&[199, 408, 425, 500, 503, 600], again(FailureKind::Server)),
        ] {
            for &code in codes {
                assert_eq!(judge(code, None), verdict, "{code}");
            }
        }
    }
}
