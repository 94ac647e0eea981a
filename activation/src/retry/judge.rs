//! From one attempt's answer to a verdict: delivered, again, never, or a paused destination.

use serde::{Deserialize, Serialize};
use tidegate_event::Timestamp;

/// What came back from one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP answer.
    Status {
        /// Its status.
        code: u16,
        /// How long it asked to wait, milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// Nothing within the time-out.
    Timeout,
    /// No connection: refused, unresolved, or TLS failed.
    Connect,
    /// The host resolves only to addresses that are not allowed.
    Blocked,
    /// The connection broke before an answer.
    Broken,
}

/// Why an attempt failed: a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// Nothing within the time-out.
    Timeout,
    /// No connection.
    Connect,
    /// Address not allowed.
    Blocked,
    /// Connection broke.
    Broken,
    /// 429, 502 or 504: asked to slow down.
    Throttled,
    /// Other 5xx, 408 or 425.
    Server,
    /// 3xx: redirects are not followed.
    Redirect,
    /// 401 or 403.
    Auth,
    /// 410.
    Gone,
    /// A 4xx that may pass: 404, 405, 409, 423 and others.
    Client,
    /// 400, 411, 413 to 417, 422 and 431: the same request will be refused again.
    Refused,
}

impl FailureKind {
    /// All kinds, in label order.
    pub const ALL: [Self; 11] = [
        Self::Timeout,
        Self::Connect,
        Self::Blocked,
        Self::Broken,
        Self::Throttled,
        Self::Server,
        Self::Redirect,
        Self::Auth,
        Self::Gone,
        Self::Client,
        Self::Refused,
    ];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Blocked => "blocked_address",
            Self::Broken => "broken",
            Self::Throttled => "throttled",
            Self::Server => "server_error",
            Self::Redirect => "redirect",
            Self::Auth => "auth",
            Self::Gone => "gone",
            Self::Client => "client_error",
            Self::Refused => "refused",
        }
    }
}

/// What to do with the item, and with the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx.
    Delivered,
    /// Try the item again, not before `not_before`.
    Retry {
        /// Why.
        kind: FailureKind,
        /// What `Retry-After` asked for; holds for the whole destination.
        not_before: Option<Timestamp>,
    },
    /// The item will never be taken: dead letter at once.
    Permanent(FailureKind),
    /// Our credentials are refused: the destination pauses, the item stays.
    Auth,
    /// The destination is gone: it is switched off, the item stays.
    Gone,
}

/// Judges one answer, which came at `now`.
#[must_use]
pub fn judge(answer: Answer, now: Timestamp) -> Verdict {
    let kind = match answer {
        Answer::Status {
            code,
            retry_after_ms,
        } => {
            let not_before = retry_after_ms.map(|ms| now.plus_ms(ms));
            return judge_status(code, not_before);
        }
        Answer::Timeout => FailureKind::Timeout,
        Answer::Connect => FailureKind::Connect,
        Answer::Blocked => FailureKind::Blocked,
        Answer::Broken => FailureKind::Broken,
    };
    Verdict::Retry {
        kind,
        not_before: None,
    }
}

/// Standard Webhooks makes 410 alone final. The other final ones name the request itself (RFC 9110,
/// 15.5), which would be the same each time; all further 4xx are tried again, because proxies answer
/// them while a receiver is rolled out.
const fn judge_status(code: u16, not_before: Option<Timestamp>) -> Verdict {
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
                let answer = Answer::Status {
                    code,
                    retry_after_ms: None,
                };
                assert_eq!(judge(answer, Timestamp(0)), verdict, "{code}");
            }
        }
    }

    #[test]
    fn what_never_got_an_answer_is_tried_again() {
        for answer in [
            Answer::Timeout,
            Answer::Connect,
            Answer::Blocked,
            Answer::Broken,
        ] {
            assert!(matches!(
                judge(answer, Timestamp(0)),
                Verdict::Retry {
                    not_before: None,
                    ..
                }
            ));
        }
    }
}
