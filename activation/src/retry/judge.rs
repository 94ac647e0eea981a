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
    /// It asks to slow down, as with 429.
    Throttled,
    /// It failed itself, as with 500.
    Server,
    /// 3xx: redirects are not followed.
    Redirect,
    /// It refuses our credentials, as with 401.
    Auth,
    /// It is gone for good.
    Gone,
    /// It refuses the request, and may take it later.
    Client,
    /// It refuses the request, and would refuse the same one again.
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
    /// It was taken.
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

/// Judges one answer, which came at `now`. What a status means is `of_status` to say: the rule of
/// the destination's kind.
#[must_use]
pub fn judge(
    answer: Answer,
    now: Timestamp,
    of_status: impl FnOnce(u16, Option<Timestamp>) -> Verdict,
) -> Verdict {
    let kind = match answer {
        Answer::Status {
            code,
            retry_after_ms,
        } => {
            let not_before = retry_after_ms.map(|ms| now.plus_ms(ms));
            return of_status(code, not_before);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_got_an_answer_is_tried_again() {
        for answer in [
            Answer::Timeout,
            Answer::Connect,
            Answer::Blocked,
            Answer::Broken,
        ] {
            assert!(matches!(
                judge(answer, Timestamp(0), |code, _| unreachable!("{code}")),
                Verdict::Retry {
                    not_before: None,
                    ..
                }
            ));
        }
    }
}
