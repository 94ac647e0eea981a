//! Whether a destination may be called at all. Opens on a high failure rate, on refused
//! credentials and on `Retry-After`; then one probe decides. Pure: time is passed in.

use tidegate_event::Timestamp;

use crate::retry::Verdict;
use crate::settings::RetryPolicy;

/// Answers that the failure rate is taken over.
const WINDOW: u32 = 20;
/// Doublings of the pause at most.
const DOUBLINGS_MAX: u32 = 6;

/// Why a destination is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseReason {
    /// At least half of the last answers were failures.
    Failing,
    /// It asked for it with `Retry-After`.
    RetryAfter,
    /// It refuses our credentials (401, 403).
    Auth,
}

impl PauseReason {
    /// The word for metrics and lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::RetryAfter => "retry_after",
            Self::Auth => "auth",
        }
    }
}

/// What the breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing until then.
    Open {
        /// When a probe may go.
        until: Timestamp,
        /// Why it opened.
        reason: PauseReason,
    },
    /// One probe, and nothing else before its answer.
    HalfOpen,
    /// Nothing, until someone enables it: it answered 410 Gone.
    Disabled,
}

impl BreakerState {
    /// The word for metrics and lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
            Self::Disabled => "disabled",
        }
    }
}

/// The state of one destination.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    state: BreakerState,
    /// The last answers, newest in bit 0; 1 is a failure.
    answers: u32,
    seen: u32,
    /// Times it opened since the last success.
    opened: u32,
}

impl Breaker {
    pub(crate) const fn new() -> Self {
        Self {
            state: BreakerState::Closed,
            answers: 0,
            seen: 0,
            opened: 0,
        }
    }

    pub(crate) const fn state(&self) -> BreakerState {
        self.state
    }

    pub(crate) const fn disable(&mut self) {
        self.state = BreakerState::Disabled;
    }

    pub(crate) const fn enable(&mut self) {
        *self = Self::new();
    }

    /// May a request start while `in_flight` others run? Moves from open to half-open when due.
    pub(crate) fn admits(&mut self, now: Timestamp, in_flight: usize) -> bool {
        match self.state {
            BreakerState::Closed => true,
            BreakerState::Disabled => false,
            BreakerState::HalfOpen => in_flight == 0,
            BreakerState::Open { until, .. } => {
                let due = now >= until && in_flight == 0;
                if due {
                    self.state = BreakerState::HalfOpen;
                }
                due
            }
        }
    }

    /// When to ask again; None where time alone changes nothing.
    pub(crate) const fn opens_again(&self) -> Option<Timestamp> {
        match self.state {
            BreakerState::Open { until, .. } => Some(until),
            BreakerState::Closed | BreakerState::HalfOpen | BreakerState::Disabled => None,
        }
    }

    /// Takes one verdict in.
    pub(crate) fn record(&mut self, verdict: Verdict, policy: &RetryPolicy, now: Timestamp) {
        if self.state == BreakerState::Disabled {
            return;
        }
        match verdict {
            Verdict::Delivered | Verdict::Permanent(_) => self.succeeded(),
            Verdict::Gone => self.state = BreakerState::Disabled,
            Verdict::Auth => self.open(PauseReason::Auth, None, policy, now),
            Verdict::Retry {
                not_before: Some(at),
                ..
            } => {
                self.open(PauseReason::RetryAfter, Some(at), policy, now);
            }
            Verdict::Retry {
                not_before: None, ..
            } => self.failed(policy, now),
        }
    }

    fn succeeded(&mut self) {
        self.answers <<= 1;
        self.seen = (self.seen + 1).min(WINDOW);
        // An answer from before it opened says nothing about now.
        if !matches!(self.state, BreakerState::Open { .. }) {
            self.state = BreakerState::Closed;
            self.opened = 0;
        }
    }

    fn failed(&mut self, policy: &RetryPolicy, now: Timestamp) {
        self.answers = self.answers << 1 | 1;
        self.seen = (self.seen + 1).min(WINDOW);
        let failures = (self.answers & ((1 << WINDOW) - 1)).count_ones();
        let probing = self.state == BreakerState::HalfOpen;
        if probing || (self.seen >= WINDOW / 2 && failures * 2 >= self.seen) {
            self.open(PauseReason::Failing, None, policy, now);
        }
    }

    fn open(
        &mut self,
        reason: PauseReason,
        asked: Option<Timestamp>,
        policy: &RetryPolicy,
        now: Timestamp,
    ) {
        let ms = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let pause = policy
            .pause_ms
            .saturating_mul(1 << self.opened.min(DOUBLINGS_MAX));
        let latest = now.plus_ms(ms(policy.cap_ms));
        let own = now.plus_ms(ms(pause));
        // A time that has passed, or zero, asks for no rest at all: ours holds.
        let mut until = asked.map_or(own, |asked| asked.max(own)).min(latest);
        if let BreakerState::Open { until: earlier, .. } = self.state {
            // Answers of requests that were in flight together count once.
            until = until.max(earlier);
        } else {
            self.opened += 1;
        }
        self.state = BreakerState::Open { until, reason };
        self.answers = 0;
        self.seen = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::FailureKind;

    const FAIL: Verdict = Verdict::Retry {
        kind: FailureKind::Server,
        not_before: None,
    };

    fn policy() -> RetryPolicy {
        RetryPolicy {
            pause_ms: 1_000,
            ..RetryPolicy::default()
        }
    }

    fn failing(breaker: &mut Breaker, times: u32, now: i64) {
        for _ in 0..times {
            breaker.record(FAIL, &policy(), Timestamp(now));
        }
    }

    #[test]
    fn half_of_the_answers_failing_opens_it_and_a_good_probe_closes_it() {
        let mut breaker = Breaker::new();
        failing(&mut breaker, 9, 0);
        assert_eq!(breaker.state(), BreakerState::Closed);
        failing(&mut breaker, 1, 0);
        assert!(!breaker.admits(Timestamp(999), 0));
        assert!(breaker.admits(Timestamp(1_000), 0));
        assert!(!breaker.admits(Timestamp(1_000), 1), "only one probe");
        breaker.record(Verdict::Delivered, &policy(), Timestamp(1_010));
        assert!(breaker.admits(Timestamp(1_010), 50));
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_up_to_64_times() {
        let mut breaker = Breaker::new();
        failing(&mut breaker, 10, 0);
        let mut now = Timestamp(0);
        for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 64_000] {
            let until = breaker.opens_again().unwrap();
            assert_eq!(until.since(now), expected);
            now = until;
            assert!(breaker.admits(now, 0));
            breaker.record(FAIL, &policy(), now);
        }
    }

    #[test]
    fn a_few_failures_among_successes_leave_it_closed() {
        let mut breaker = Breaker::new();
        for round in 0..100 {
            let verdict = if round % 3 == 0 {
                FAIL
            } else {
                Verdict::Delivered
            };
            breaker.record(verdict, &policy(), Timestamp(0));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn retry_after_and_refused_credentials_pause_at_once() {
        let mut breaker = Breaker::new();
        let asked = Verdict::Retry {
            kind: FailureKind::Throttled,
            not_before: Some(Timestamp(7_000)),
        };
        breaker.record(asked, &policy(), Timestamp(0));
        assert!(!breaker.admits(Timestamp(6_999), 0) && breaker.admits(Timestamp(7_000), 0));
        let mut hasty = Breaker::new();
        let at_once = Verdict::Retry {
            kind: FailureKind::Throttled,
            not_before: Some(Timestamp(-500)),
        };
        hasty.record(at_once, &policy(), Timestamp(0));
        assert!(!hasty.admits(Timestamp(999), 0) && hasty.admits(Timestamp(1_000), 0));
        breaker.record(Verdict::Auth, &policy(), Timestamp(7_000));
        assert!(matches!(
            breaker.state(),
            BreakerState::Open {
                reason: PauseReason::Auth,
                until: Timestamp(9_000)
            }
        ));
    }

    #[test]
    fn gone_stays_disabled_until_it_is_enabled() {
        let mut breaker = Breaker::new();
        breaker.record(Verdict::Gone, &policy(), Timestamp(0));
        breaker.record(Verdict::Delivered, &policy(), Timestamp(1));
        assert!(!breaker.admits(Timestamp(i64::MAX), 0));
        breaker.enable();
        assert!(breaker.admits(Timestamp(2), 0));
    }
}
