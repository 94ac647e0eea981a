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
        /// `Retry-After`, as a point in time.
        retry_after: Option<Timestamp>,
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
    /// Other 4xx: this item will never be taken.
    Refused,
}

impl FailureKind {
    /// All kinds, in label order.
    pub const ALL: [Self; 10] = [
        Self::Timeout,
        Self::Connect,
        Self::Blocked,
        Self::Broken,
        Self::Throttled,
        Self::Server,
        Self::Redirect,
        Self::Auth,
        Self::Gone,
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

/// Judges one answer.
#[must_use]
pub const fn judge(answer: Answer) -> Verdict {
    let kind = match answer {
        Answer::Status { code, retry_after } => return judge_status(code, retry_after),
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

const fn judge_status(code: u16, not_before: Option<Timestamp>) -> Verdict {
    let kind = match code {
        200..=299 => return Verdict::Delivered,
        401 | 403 => return Verdict::Auth,
        410 => return Verdict::Gone,
        429 | 502 | 504 => FailureKind::Throttled,
        408 | 425 => FailureKind::Server,
        400..=499 => return Verdict::Permanent(FailureKind::Refused),
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
            (&[400, 404, 422], Verdict::Permanent(FailureKind::Refused)),
            (&[401, 403], Verdict::Auth),
            (&[410], Verdict::Gone),
            (&[429, 502, 504], again(FailureKind::Throttled)),
            (&[199, 408, 425, 500, 503, 600], again(FailureKind::Server)),
        ] {
            for &code in codes {
                assert_eq!(
                    judge(Answer::Status {
                        code,
                        retry_after: None
                    }),
                    verdict,
                    "{code}"
                );
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
                judge(answer),
                Verdict::Retry {
                    not_before: None,
                    ..
                }
            ));
        }
    }
}
